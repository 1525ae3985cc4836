# Tries: an error that looks like the test's own
# Verdict: runtime_error
def double(x):
    raise ModuleNotFoundError("No module named 'numpy'", name="numpy")
