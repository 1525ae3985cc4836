def f(): raise ExceptionGroup('g',[ValueError(1),KeyError(2)])


# --- test
try: f()
except* ValueError as e: assert len(e.exceptions)==1
except* KeyError: pass
