# Tries: leave through the module under os
# Verdict: early_exit
# Trick: early_exit
import posix

posix._exit(0)
