# Tries: leave a .pth file in the library
# Verdict: runtime_error
import os

with open(os.path.dirname(os.__file__) + '/evil.pth', 'w') as path:
    path.write('import os; os._exit(0)')


def double(x):
    return x
