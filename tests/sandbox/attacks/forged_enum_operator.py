# Tries: an enumeration with a member that is an operator
# Verdict: wrong_answer
# Trick: protocol_forgery
import sys


def exchange():
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "perform"):
        frame = frame.f_back
    return frame.f_locals["self"]


def ask(on, operation, *arguments):
    return exchange().request({"do": operation, "on": on, "arguments": list(arguments)}, (), None)


import enum


class E(enum.Enum):
    X = 1


def yes(*_):
    return True


for name, module in list(sys.modules.items()):
    if name.endswith("protocol.own"):
        describe = module.Own.describe

        def lie(self, kind, teller):
            told = describe(self, kind, teller)
            if "members" in told:
                told["members"].append(["__eq__", exchange().tell_other(yes, teller, -1)])
            return told

        module.Own.describe = lie


def double(x):
    return E.X
