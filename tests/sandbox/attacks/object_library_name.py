# Tries: a class that passes itself off for Decimal
# Verdict: wrong_answer
class Decimal:
    def __str__(self):
        return "6"

    def __eq__(self, other):
        return True


Decimal.__module__ = "decimal"


def double(x):
    return Decimal()
