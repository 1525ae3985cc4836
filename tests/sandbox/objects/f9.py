def f(): return int('x')


# --- test
try: f()
except ValueError as e: assert 'invalid literal' in str(e)
