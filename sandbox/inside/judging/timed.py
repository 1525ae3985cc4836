"""One call of the program, ended where it takes too long by the clock on the wall.

The clock alone decides nothing: on a busy machine a call waits for a processor, and an answer of millions of items
takes its time to cross. So a call gets twice the time that it may take, and where all calls together have used less
CPU than one may, the supervisor has the job judged again alone.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

WALL_FACTOR = 2.0
"""A call is ended after this many times the seconds that it may take."""

_AT_WORK_S, _NEXT_LOOK_S = 0.02, 1.0


class TooSlow(BaseException):
    """A call was ended; no test may catch it as an Exception."""


def timed_call(call: Callable[[], Any], most_s: float | None) -> Any:
    """What it answers; raises what it raises, and TooSlow where it takes twice ``most_s``."""
    if most_s is None:
        return call()
    spent = time.process_time()

    def look(*_: object) -> None:
        """End the call, unless we ourselves have been at work since: then its answer is being read."""
        nonlocal spent
        since, spent = spent, time.process_time()
        if spent - since < _AT_WORK_S:
            raise TooSlow

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, most_s * WALL_FACTOR, _NEXT_LOOK_S)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
