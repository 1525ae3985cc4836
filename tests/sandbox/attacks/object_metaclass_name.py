# Tries: a class whose name leads astray
# Verdict: wrong_answer
class Answer:
    pass


Answer.__name__ = "list"
Answer.__module__ = "builtins"


def double(x):
    return Answer()
