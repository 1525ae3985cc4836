def f(a):
    a[0]=float(a[0])
def g(d): d.clear()
def h(b): b+=b'z'


# --- test
a=[1]
f(a)
assert repr(a)=='[1.0]'
d={1:2}
g(d)
assert not d
b=bytearray(b'a')
h(b)
assert b==b'az'
