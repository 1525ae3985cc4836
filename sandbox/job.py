"""What is asked of the sandbox and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal


class Verdict(StrEnum):
    """What became of a candidate; the same closed set on every backend."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    SYNTAX_ERROR = "syntax_error"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    FORBIDDEN = "forbidden"
    """A blocked system call ended it."""
    EARLY_EXIT = "early_exit"
    """It left before it had answered or come to its end."""
    TEST_ERROR = "test_error"
    """The test itself is broken, or asks nothing: the suite's fault, to be masked from any reward."""
    SANDBOX_ERROR = "sandbox_error"
    """Ours, not the candidate's: to be masked from any reward."""

    @property
    def says_nothing(self) -> bool:
        """Whether it says nothing of the candidate: to be left out of rewards and of pass@k."""
        return self in (Verdict.TEST_ERROR, Verdict.SANDBOX_ERROR)


@dataclass(frozen=True)
class Limits:
    """What one job may use. CPU time decides; wall time only ends what does not run at all."""

    cpu_s: float = 5.0
    """CPU seconds of one run of the candidate: one suite of calls, or one case of standard input."""
    memory_mb: int = 1024
    """Memory of the candidate and all it starts; and, in the judge, the size of one answer."""
    output_bytes: int = 1 << 20
    """Bytes of standard output, and of standard error, each; of a case's output at least twice what is expected."""
    processes: int = 64
    """Processes and threads at once."""
    open_files: int = 64
    file_mb: int = 16
    """Size of one file in /tmp."""
    deadline_s: float = 60.0
    """CPU seconds of the whole problem, over all its cases."""
    wall_factor: float = 2.0
    """A run that has slept this many times ``cpu_s`` is over its time."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"limits: {name} must be above 0, not {value}")


CHECKER_LIMITS = Limits(cpu_s=10)
"""Of a checker that is a program."""


@dataclass(frozen=True)
class Check:
    """A suite that defines ``check(candidate)``; it runs in the judge (HumanEval).

    What `source` itself defines is the judge's own and cannot be forged: put the prompt's helper functions there.
    """

    source: str
    entry_point: str


@dataclass(frozen=True)
class Asserts:
    """Assert lines, run in the judge (MBPP). `setup` runs in the candidate, after its program."""

    source: str
    setup: str = ""


@dataclass(frozen=True)
class Calls:
    """Calls of one function and the values expected of them, compared in the judge."""

    entry_point: str
    cases: tuple[tuple[Any, Any], ...]
    """Pairs of (sequence of arguments, expected value)."""
    tolerance: float | None = None
    """Absolute and relative, where one of two numbers is a float; None asks for equality."""
    tuples_are_lists: bool = False
    """Whether a tuple may stand for a list, as in LiveCodeBench, whose expected values come from JSON."""
    call_s: float | None = None
    """Seconds that one call may take (see `Reference.call_s`); None leaves it to the limits of the whole."""


@dataclass(frozen=True)
class Reference:
    """Calls of one function, each answer compared with what a reference gives for the same arguments (EvalPlus).

    The reference runs in the judge, on copies: what a candidate does to its arguments it does to its own.
    """

    entry_point: str
    source: str
    """The reference, a program that defines ``entry_point``. One that raises is a ``test_error``."""
    agrees: str
    """Source that defines ``agrees(answer, expected, arguments) -> bool``; run anew for each batch. An answer on which
    it raises is wrong."""
    batches: tuple[tuple[str, tuple[Sequence[Any], ...]], ...]
    """Names of batches and their calls' arguments; all of a batch must agree before the next is begun, unless the
    tests are counted."""
    call_s: float = 4.0
    """Seconds that one call may take. It is ended after twice as many by the clock on the wall; where all calls
    together used less CPU than that, the job is judged again alone."""
    times_reference: float = 4.0
    """A call may take this many times as long as the reference did, where that is more than ``call_s``."""


@dataclass(frozen=True)
class Stdio:
    """A whole program that reads standard input and prints; one fresh run a case."""

    cases: tuple[tuple[str, str], ...]
    """Pairs of (input, expected output)."""
    compare: Literal["exact", "tokens", "float", "decimals", "folded"] = "tokens"
    """``decimals`` compares line by line, each as text or as decimal numbers of any size (LiveCodeBench); ``folded``
    lines without the case of yes and no, empty ones and runs of white space (Codeforces)."""
    tolerance: float = 1e-6
    """Absolute and relative, for ``compare="float"``."""
    checker: str | None = None
    """Source of ``check(stdin, expected, output) -> bool``, run in the judge instead of a comparison. One that raises
    or says anything but True and False, of the expected output too, is a ``test_error``."""
    checker_program: str | None = None
    """Source of a program that is run, in a process of its own, as ``checker.py input.txt correct_output.txt
    solution_output.txt``, and accepts where it prints 1 or 100 (Codeforces). One that says nothing within
    `CHECKER_LIMITS`, of the expected output too, is a ``test_error``."""
    files: tuple[str, str] | None = None
    """Names of the files that the program reads and writes instead of standard input and output."""


@dataclass(frozen=True)
class Program:
    """A whole program with its own asserts: passes when it runs to its end.

    The candidate holds its own tests here, so a hostile one can claim its end: use another test for model output.
    """

    stdin: str = ""


Test = Check | Asserts | Calls | Reference | Stdio | Program


@dataclass(frozen=True)
class Job:
    """One program to be judged."""

    program: str
    test: Test
    limits: Limits = Limits()
    tag: str = ""
    """The caller's own word for it, handed back with the result."""
    count: bool = False
    """Whether the tests behind the first that fails are run too, so that `Result` says how many passed."""


@dataclass(frozen=True)
class Result:
    """What happened."""

    verdict: Verdict
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    failed_test: str | None = None
    """Which test failed first, without a word of what it expects."""
    tests: int = 0
    """How many there are: statements of `Asserts` that assert, calls of `Calls` and `Reference`, cases of `Stdio`, 1 of
    anything else; 0 where they were not counted, or the judge was ended before it could tell."""
    tests_passed: int = 0
    """How many of them passed before the candidate ended or was ended: all where it passed, fewer where it did not."""
    stdout: str = ""
    stderr: str = ""
    backend: str = ""
    layers: tuple[str, ...] = ()
    """The layers of isolation that were in force."""
    packages: tuple[str, ...] = ()
    """The third-party packages that there were to import, with their versions."""
    tricks: tuple[str, ...] = ()
    """Known tricks that were seen, for a person to read; they change no verdict."""
    tag: str = ""
    detail: str = ""
    """What a person may want to know: the exception's text, the sandbox's own trouble."""


class SandboxUnavailable(RuntimeError):
    """No backend works here, or the one that was named does not; the message says why and how to mend it."""
