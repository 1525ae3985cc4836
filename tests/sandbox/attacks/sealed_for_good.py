# Tries: seals in place of answers, to whatever is asked of them
# Test: large
# Verdict: wrong_answer
import os
import time

told = b'{"value":{"sealed":0}}'
ready = b'{"ready":{"double":1}}'
for message in (ready, told, told, told):
    os.write(3, len(message).to_bytes(4, "big") + message)
time.sleep(60)
