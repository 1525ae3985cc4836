def f(): raise StopIteration(5)
def g(): raise SystemExit(3)
def h(): raise KeyboardInterrupt


# --- test
try: f()
except StopIteration as e: assert e.value==5
try: g()
except SystemExit as e: assert e.code==3
