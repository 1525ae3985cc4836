# Tries: a format string in a class of the test
# Verdict: runtime_error
def double(kind, call):
    return kind("{0.__globals__}").format(call)


# --- test
class Name(str):
    pass
EXPECTED = 987654
assert "987654" in double(Name, lambda x: x)
