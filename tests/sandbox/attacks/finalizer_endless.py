# Tries: never come to an end after the last line
# Verdict: time_limit
# Test: program
class Stays:
    def __del__(self):
        while True:
            pass


held = Stays()
