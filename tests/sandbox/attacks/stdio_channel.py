# Tries: write the end of a program that it has not come to
# Verdict: wrong_answer
# Test: stdio
# Trick: protocol_forgery
import os

message = b'{"ready":true}'
os.write(3, len(message).to_bytes(4, 'big') + message)
print(0)
