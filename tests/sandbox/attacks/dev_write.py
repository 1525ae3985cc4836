# Tries: make a device
# Verdict: forbidden
import os

os.mknod('disk', 0o60666, os.makedev(8, 0))
