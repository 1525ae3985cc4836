from collections import defaultdict
def f(d):
    d['n'].append(1)
    return d
def g(): return defaultdict(lambda: 7)


# --- test
from collections import defaultdict
d=f(defaultdict(list))
assert d=={'n':[1]} and d['z']==[]
assert g()['q']==7
