import io
def f(s): return s.read()
def w(s): s.write('out')
def l(s): return [x.strip() for x in s]


# --- test
import io
assert f(io.StringIO('abc'))=='abc' and f(io.BytesIO(b'q'))==b'q'
o=io.StringIO()
w(o)
assert o.getvalue()=='out'
assert l(io.StringIO('a\nb\n'))==['a','b']
