def f(e): raise e
def g(k): raise k('z')


# --- test
try: f(KeyError('q'))
except KeyError as e: assert e.args==('q',)
try: g(IndexError)
except IndexError as e: assert str(e)=='z'
class Mine(Exception): pass
try: f(Mine('m'))
except Mine as e: assert str(e)=='m'
try: g(Mine)
except Mine as e: assert e.args==('z',)
