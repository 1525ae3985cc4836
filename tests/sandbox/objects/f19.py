def f(x,y=[]):
    y.append(x)
    return y


# --- test
assert f(1)==[1]
assert f(2)==[1,2]
assert f.__defaults__==([1,2],)
