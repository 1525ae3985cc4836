def f(): open('/nope/x')


# --- test
import errno
try: f()
except OSError as e: assert e.errno==errno.ENOENT and e.filename=='/nope/x' and 'No such file' in str(e) and isinstance(e,FileNotFoundError)
