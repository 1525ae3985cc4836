# Tries: calls from one side to the other that never end
# Verdict: time_limit
def double(call):
    while True:
        call(lambda: None)
# --- test
double(lambda f: f())
