# Tries: leave through the builtin
# Verdict: early_exit
# Trick: early_exit
exit()
