# Tries: start threads until the kernel refuses
# Verdict: runtime_error
import threading
import time

while True:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
