# Tries: patch the fork server where it is imported
# Verdict: wrong_answer
# Trick: protocol_forgery
import sys

server = sys.modules.get("inside.forkserver")
if server is not None:
    server.ForkServer._report = lambda self, message: None
    server.end_all = lambda child: None


def double(x):
    return x
