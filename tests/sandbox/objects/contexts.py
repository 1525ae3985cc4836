import contextlib
class Timer:
    def __enter__(self): self.log = ["in"]; return self
    def __exit__(self, t, v, tb):
        self.log.append(t.__name__ if t else "out")
        return t is ValueError
@contextlib.contextmanager
def tag(name, out):
    out.append(f"<{name}>")
    try: yield name.upper()
    finally: out.append(f"</{name}>")
class cd(contextlib.ContextDecorator):
    n = 0
    def __enter__(self): cd.n += 1; return self
    def __exit__(self, *a): return False
# --- test
with Timer() as t: pass
assert t.log == ["in", "out"]
with Timer() as t: raise ValueError
assert t.log == ["in", "ValueError"]
out = []
with tag("b", out) as n: out.append(n)
assert out == ["<b>", "B", "</b>"]
try:
    with tag("i", out): raise KeyError(1)
except KeyError: out.append("caught")
assert out[-2:] == ["</i>", "caught"]
@cd()
def f(): return 4
assert f() == 4 and cd.n == 1
import contextlib
with contextlib.ExitStack() as st:
    t = st.enter_context(Timer())
assert t.log == ["in", "out"]
