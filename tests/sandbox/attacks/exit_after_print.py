# Tries: exit with success and no answer
# Verdict: wrong_answer
# Test: stdio
import sys

sys.exit(0)
