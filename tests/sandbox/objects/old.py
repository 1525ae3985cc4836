import warnings
def old():
    warnings.warn('dep',DeprecationWarning)
    return 1


# --- test
assert old()==1
