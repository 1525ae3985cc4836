from functools import lru_cache,partial
@lru_cache(maxsize=None)
def fib(n): return n if n<2 else fib(n-1)+fib(n-2)
add3=partial(lambda a,b:a+b,3)


# --- test
assert fib(30)==832040
assert fib.cache_info().hits>0 and fib.cache_info().currsize==31
fib.cache_clear()
assert fib.cache_info().currsize==0
assert add3(4)==7 and fib.__wrapped__(5)==5
