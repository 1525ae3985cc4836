# Tries: put a folder that resists in place of its own file
# Verdict: passed
# Test: program
import os

os.unlink(__file__)
os.makedirs(f'{__file__}/a/b')
os.chmod(f'{__file__}/a', 0)
