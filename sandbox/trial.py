"""Which backends work on this machine, found out by judging a program on each."""

from __future__ import annotations

from dataclasses import dataclass

from .backends.cell import CellLost
from .job import Asserts, Job, Verdict
from .pool import BACKENDS, Backend, Sandbox, opener

_PROGRAM = "def double(x):\n    return 2 * x\n"
_ASSERTS = "assert double(2) == 4"


@dataclass(frozen=True)
class Trial:
    """What came of trying one backend."""

    backend: Backend
    works: bool
    layers: tuple[str, ...] = ()
    """The layers of isolation that were found to hold."""
    trouble: str = ""
    """Why it does not work, and how to mend it."""


def try_backend(backend: Backend) -> Trial:
    """Start the backend and have it judge a program that passes."""
    try:
        with Sandbox(backend, opener(backend, "auto"), workers=1) as sandbox:
            (result,) = sandbox.judge([Job(_PROGRAM, Asserts(_ASSERTS))])
    except (CellLost, OSError) as error:
        return Trial(backend, works=False, trouble=str(error))
    if result.verdict is not Verdict.PASSED:
        return Trial(
            backend, works=False, trouble=f"a program that is right was judged {result.verdict}: {result.detail}"
        )
    return Trial(backend, works=True, layers=result.layers)


def try_every_backend() -> list[Trial]:
    """All of them, in the order in which ``auto`` prefers them."""
    return [try_backend(backend) for backend in BACKENDS]
