# Tries: end as the fork server's own failures do
# Verdict: early_exit
# Trick: early_exit
import os

os.write(2, b'CellError: the cell cannot do what was asked')
os._exit(70)
