from decimal import Decimal
from fractions import Fraction
from datetime import *
from pathlib import Path
from uuid import UUID
from array import array
from collections import *
def f(x): return x
def g(): return [Decimal('1.10'),Fraction(1,3),date(2024,1,2),datetime(2024,1,2,tzinfo=timezone.utc),timedelta(1),time(1,2),Path('a/b'),UUID(int=3),array('i',[1,2]),deque([1],2),Counter('aa'),OrderedDict(a=1),defaultdict(int,{1:2}),range(3),slice(1,2),1j,b'x',bytearray(b'y'),frozenset([1]),memoryview(b'm'),...,NotImplemented]


# --- test
from decimal import Decimal
from fractions import Fraction
from datetime import *
from pathlib import Path
from uuid import UUID
from array import array
from collections import *
x=[Decimal('1.10'),Fraction(1,3),date(2024,1,2),datetime(2024,1,2,tzinfo=timezone.utc),timedelta(1),time(1,2),Path('a/b'),UUID(int=3),array('i',[1,2]),deque([1],2),Counter('aa'),OrderedDict(a=1),defaultdict(int,{1:2}),range(3),slice(1,2),1j,b'x',bytearray(b'y'),frozenset([1]),memoryview(b'm'),...,NotImplemented]
r=g()
for a,b in zip(r,x):
    assert a==b and type(a) is type(b),(a,b)
    y=f(b)
    assert y==b and type(y) is type(b),b
assert f(x)==x
assert r[9].maxlen==2 and r[12].default_factory is int and str(r[0])=='1.10'
