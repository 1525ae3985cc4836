class R:
    def __init__(s,n): s.n=n
    def __str__(s): return f'R{s.n}'
    def __int__(s): return s.n
    def __float__(s): return s.n/2
    def __index__(s): return s.n
    def __round__(s,d=0): return 'r'
    def __len__(s): return s.n


# --- test
r=R(3)
assert int(r)==3 and float(r)==1.5 and [0,1,2,3][r]==3 and str(r)=='R3' and '%s'%r=='R3' and round(r)=='r' and bool(r) and not R(0) and print(r) is None
