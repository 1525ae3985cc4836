# Tries: catch whatever is raised to end it
# Verdict: time_limit
def double(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
