def f(n):
    for i in range(n): yield i


# --- test
g=f(3)
assert next(g)==0
assert list(g)==[1,2]
import types
assert isinstance(f(1),types.GeneratorType)
from collections.abc import Iterator
assert isinstance(f(1),Iterator)
assert sum(f(1000))==499500
try:
    next(f(0)); assert False
except StopIteration: pass
assert next(f(0),None) is None
assert f(2).__name__=='f'
a,b=f(2)
assert (a,b)==(0,1)
assert [*f(3)]==[0,1,2]
assert max(f(5))==4 and any(f(2)) and ','.join(map(str,f(3)))=='0,1,2'
