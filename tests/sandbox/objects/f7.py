def f():
    try: {}['a']
    except KeyError as e: raise ValueError('x') from e


# --- test
try: f()
except ValueError as e: assert isinstance(e.__cause__,KeyError)
