def compose(f,g): return lambda x: f(g(x))


# --- test
assert compose(lambda x:x+1,lambda x:x*2)(3)==7
import math
assert compose(math.sqrt,abs)(-16)==4
assert compose(str,int)('5')=='5'
