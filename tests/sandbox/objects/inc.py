LIMIT=10
TABLE={'a':[1]}
n=0
def inc():
    global n
    n+=1


# --- test
assert LIMIT==10 and TABLE['a'][0]==1
inc(); inc()
assert n==2
