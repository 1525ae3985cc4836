# Tries: a regular expression that never ends, deaf to signals
# Verdict: time_limit
import re


def double(x):
    re.match(r'(a+)+$', 'a' * 50 + 'b')
