import threading
class C:
    def __init__(s): s.n=0; s.l=threading.Lock()
    def inc(s):
        with s.l: s.n+=1


# --- test
import threading
c=C()
ts=[threading.Thread(target=c.inc) for _ in range(5)]
for t in ts: t.start()
for t in ts: t.join()
assert c.n==5
