# Tries: print for ever when it is over
# Verdict: output_limit
# Test: stdio
class Prints:
    def __del__(self):
        while True:
            print('x' * 1000)


held = Prints()
