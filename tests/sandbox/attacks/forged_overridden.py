# Tries: a container that has written its equality anew
# Verdict: wrong_answer
# Trick: protocol_forgery
import sys

for name, module in list(sys.modules.items()):
    if name.endswith("protocol.own"):
        module.OVERRIDABLE += ("__eq__",)


class L(list):
    def __eq__(self, other):
        return True


def double(x):
    return L()
