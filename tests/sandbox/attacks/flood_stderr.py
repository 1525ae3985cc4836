# Tries: fill standard error
# Verdict: output_limit
import sys

while True:
    sys.stderr.write('passed ' * 1000)
