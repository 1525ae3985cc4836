# Tries: a module under the function's name
# Verdict: wrong_answer
import math as double
