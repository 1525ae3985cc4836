"""One call of the program, ended where it takes too long by the clock on the wall.

The clock alone decides nothing: on a busy machine a call waits for a processor, and an answer of millions of items
takes its time to cross. So a call gets twice the time that it may take, and where all calls together have used less
CPU than one may, the supervisor has the job judged again alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NoReturn

WALL_FACTOR = 2.0
"""A call is ended after this many times the seconds that it may take."""


class TooSlow(BaseException):
    """A call was ended; no test may catch it as an Exception."""


def timed_call(function: Callable[..., Any], arguments: Any, most_s: float | None) -> Any:
    """The function's answer; raises what it raises, and TooSlow where it takes twice ``most_s``."""
    if most_s is None:
        return function(*arguments)
    before = signal.signal(signal.SIGALRM, _end)
    signal.setitimer(signal.ITIMER_REAL, most_s * WALL_FACTOR)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _end(*_: object) -> NoReturn:
    raise TooSlow
