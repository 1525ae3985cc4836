# Tries: become another program
# Verdict: runtime_error
import os
import sys

os.execv(sys.executable or '/usr/bin/python3', ['python', '-c', 'pass'])
