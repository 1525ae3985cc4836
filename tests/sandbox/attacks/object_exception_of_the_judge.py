# Tries: an exception named like one of the judge's
# Verdict: runtime_error
class CandidateGone(BaseException):
    pass


class Untellable(Exception):
    pass


def double(x):
    raise Untellable if isinstance(x, list) else CandidateGone
