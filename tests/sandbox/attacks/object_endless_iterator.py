# Tries: an iterator without an end
# Verdict: wrong_answer
class Answer:
    def __iter__(self):
        return self


    def __next__(self):
        return 1


def double(x):
    return Answer()
