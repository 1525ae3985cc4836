def retry(f,n):
    for i in range(n):
        try: return f()
        except ValueError: pass
    return None


# --- test
n=0
def flaky():
    global n
    n+=1
    if n<3: raise ValueError('no')
    return 'ok'
assert retry(flaky,5)=='ok' and n==3
