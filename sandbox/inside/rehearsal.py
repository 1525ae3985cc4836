"""Tasks played through by the fork server itself, before it forks any.

Code that runs for the first time looks names up, is specialised and fills caches, and so writes to the pages it lies
on. Done here, it is done for every child.
"""

from __future__ import annotations

import builtins
import os
import socket
import sys
from typing import Any

from . import child, frames, orders, values
from .judging import judge
from .judging.line import Line
from .running import candidate
from .running.served import Served

_VALUE = [1, 2.5, "text", True, None, (1, "a"), {"key": [3]}]
_CALLS = 4
_TIMES = 16
"""The interpreter specialises what has been called eight times, and what is in it a little later."""
_PROGRAM = "def answer(value):\n    return value\n"
_LOOP = f"for _ in range({_CALLS}):\n    assert answer(value) == value\n"
_TESTS: tuple[dict[str, Any], ...] = (
    {"kind": "asserts", "source": f"value = {_VALUE}\n{_LOOP}"},
    {
        "kind": "check",
        "source": f"def check(answer):\n    value = {_VALUE}\n    {_LOOP.replace('    ', '        ')}",
        "entry_point": "answer",
    },
    {
        "kind": "calls",
        "cases": values.to_wire([[[_VALUE], _VALUE]] * _CALLS),
        "entry_point": "answer",
        "call_s": None,
        "tolerance": None,
        "tuples_are_lists": False,
    },
)
_MOST = 1 << 62
_NO_LIMITS = orders.Limits(1e9, 1e9, 1e9, _MOST, _MOST, _MOST, _MOST, _MOST)
_STANDARD_AND_CHANNELS = [0, 1, 2, 3, 4]
"""Descriptors that are there, each where it is to be."""


def rehearse(ceilings: dict[int, int]) -> None:
    """Judge candidates that answer with what they are asked, and be these candidates."""
    main, depth = sys.modules["__main__"], sys.getrecursionlimit()
    for test in _TESTS * _TIMES:
        judges, candidates = socket.socketpair()
        with judges, candidates:
            for message in ({"ready": {"answer": 1}}, *[{"value": values.to_wire(_VALUE)}] * _CALLS):
                frames.write_frame(candidates.fileno(), values.dumps(message))
            judge.run(_begin(orders.JUDGE, {"test": test}, ceilings), Line(judges.fileno()))
            judges.shutdown(socket.SHUT_WR)
            task = _begin(orders.SERVE, {"program": _PROGRAM, "setup": ""}, ceilings)
            candidate.run(task, Served(candidates.fileno()))
    sys.modules["__main__"] = main
    sys.setrecursionlimit(depth)
    del sys.modules["candidate"], builtins.exit, builtins.quit


def _begin(kind: int, task: dict[str, Any], ceilings: dict[int, int]) -> dict[str, Any]:
    """As a child begins, but that it takes nothing from this process."""
    order = orders.read(orders.order(kind, 1, _NO_LIMITS, task))
    task = order.task()
    os.close(child.spool(task.get("stdin", "")))
    nothing_higher = len(_STANDARD_AND_CHANNELS)
    child.confine(child.limits_of(order.limits, ceilings), _STANDARD_AND_CHANNELS, nothing_higher)
    return task
