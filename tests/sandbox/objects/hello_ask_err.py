def hello(n):
    print('hi',n)
    return n
def ask(): return int(input('? '))+1
import sys
def err(): print('e',file=sys.stderr)


# --- test
import io,contextlib,sys
b=io.StringIO()
with contextlib.redirect_stdout(b):
    hello('x')
assert b.getvalue()=='hi x\n'
old=sys.stdin
sys.stdin=io.StringIO('4\n5\n')
with contextlib.redirect_stdout(io.StringIO()):
    assert ask()==5
    assert ask()==6
sys.stdin=old
e=io.StringIO()
with contextlib.redirect_stderr(e): err()
assert e.getvalue()=='e\n'
from unittest.mock import patch
with patch('builtins.input',return_value='7'):
    assert ask()==8
with patch('builtins.print') as p:
    hello(3)
    p.assert_called_once_with('hi',3)
with patch('sys.stdout',new_callable=io.StringIO) as o:
    hello(1)
    assert o.getvalue()=='hi 1\n'
