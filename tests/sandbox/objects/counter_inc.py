def counter():
    n=0
    def inc():
        nonlocal n
        n+=1
        return n
    return inc


# --- test
a=counter(); b=counter()
assert a()==1 and a()==2 and b()==1
assert a is not b and a!=b and a==a
