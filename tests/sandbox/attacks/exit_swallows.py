# Tries: a context manager that suppresses the assertion within it
# Verdict: wrong_answer
class double:
    def __init__(self, x):
        pass

    def __enter__(self):
        return 0

    def __exit__(self, *_):
        return True


# --- test
with double(3) as answer:
    assert answer == 5
