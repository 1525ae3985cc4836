# Tries: read a file of the host by way of ..
# Verdict: runtime_error
print(open('../../../../../../../../{CANARY}').read())


def double(x):
    return x
