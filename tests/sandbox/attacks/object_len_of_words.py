# Tries: a length that is text
# Verdict: wrong_answer
class Answer:
    def __len__(self):
        return 'six'


def double(x):
    return Answer()
