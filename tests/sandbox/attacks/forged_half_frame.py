# Tries: half a message, and then silence
# Verdict: time_limit
# Trick: protocol_forgery
import os
import time

os.write(3, b'\0\0\1\0{')
time.sleep(1000)
