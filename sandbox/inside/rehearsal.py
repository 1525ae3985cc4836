"""One judgement played through by the fork server itself, before it forks any.

Code that runs for the first time is specialised and fills caches, and so writes to the pages it lies on. Done once
here, it is done for every child.
"""

from __future__ import annotations

import socket

from . import frames, values
from .judging import judge
from .judging.line import Line
from .running.served import Served

_VALUE = [1, 2.5, "text", True, None, (1, "a"), {"key": [3]}]
_TIMES = 16
"""Calls of the candidate's function: the interpreter specialises what has run eight times."""
_TEST = f"value = {_VALUE}\nfor _ in range({_TIMES}):\n    assert answer(value) == value"


def rehearse() -> None:
    """Judge a candidate that answers with what it is asked, its answers written down in advance."""
    judges, candidates = socket.socketpair()
    with judges, candidates:
        for message in ({"ready": {"answer": 1}}, *[{"value": values.to_wire(_VALUE)}] * _TIMES):
            frames.write_frame(candidates.fileno(), values.dumps(message))
        judge.run({"test": {"kind": "asserts", "source": _TEST}}, Line(judges.fileno()))
        judges.shutdown(socket.SHUT_WR)
        Served(candidates.fileno()).serve({"answer": lambda value: value})
