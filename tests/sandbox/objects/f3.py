import itertools
def f(): return itertools.count(1)


# --- test
from itertools import islice
assert list(islice(f(),200))==list(range(1,201))
