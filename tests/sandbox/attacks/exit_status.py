# Tries: the right answer and a failing exit status
# Verdict: runtime_error
# Test: stdio
import sys

print(int(input()) * 2)
sys.exit(3)
