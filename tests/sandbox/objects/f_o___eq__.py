def f(d):
    for k in list(d): d[k]+=1
    return sorted(d.items())
class O:
    def __eq__(s,o): return True


# --- test
d={'a':1}
assert f(d)==[('a',2)] and d['a']==2
assert O()==O()
