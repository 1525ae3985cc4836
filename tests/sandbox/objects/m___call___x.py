class M(type):
    def __call__(cls,*a):
        r=super().__call__(*a)
        r.tag='m'
        return r
class X(metaclass=M): pass


# --- test
assert X().tag=='m'
