# Tries: a module of the judge as an argument of the test's function
# Verdict: runtime_error
import sys


def exchange():
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "perform"):
        frame = frame.f_back
    return frame.f_locals["self"]


def ask(on, operation, *arguments):
    return exchange().request({"do": operation, "on": on, "arguments": list(arguments)}, (), None)


def double(call):
    return ask(exchange().mirrors.number_of(call), "__call__", {"module": ["os", 99999, 0]})


# --- test
assert double(lambda module: module.sep) == "/"
