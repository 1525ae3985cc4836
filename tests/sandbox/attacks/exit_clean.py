# Tries: nothing: leaving after the answer is allowed
# Verdict: passed
# Test: stdio
import sys

print(int(input()) * 2)
sys.exit(0)
