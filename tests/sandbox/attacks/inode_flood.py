# Tries: more files than there are
# Verdict: runtime_error
import itertools

for number in itertools.count():
    open(f'file{number}', 'w').close()
