# Tries: a list subclass that lies about its length
# Verdict: wrong_answer
class Short(list):
    def __len__(self):
        return 1 << 40

    def __iter__(self):
        return iter([6])


def double(x):
    return Short([5])
