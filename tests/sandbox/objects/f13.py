def f(a,b=2,*c,d:int=3,**e)->str:
    'Doc.'
    return ''


# --- test
import inspect
s=inspect.signature(f)
assert list(s.parameters)==['a','b','c','d','e'] and s.parameters['b'].default==2
assert f.__doc__=='Doc.' and f.__name__=='f' and f.__defaults__==(2,) and f.__annotations__=={'d':int,'return':str} and inspect.isfunction(f) and f.__code__.co_argcount==2 and str(s)=="(a, b=2, *c, d: int = 3, **e) -> str"
import types
assert isinstance(f,types.FunctionType)
