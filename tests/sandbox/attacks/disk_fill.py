# Tries: fill the scratch folder
# Verdict: runtime_error
import itertools

for number in itertools.count():
    with open(f"file{number}", "wb") as file:
        file.write(b"x" * (1 << 22))
