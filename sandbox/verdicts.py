"""From facts to a verdict: the one place where it is decided.

A *report* is what the candidates' fork server read from the kernel, a *note* what the judge says of the test. A
candidate's own words never outrank either.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from typing import Any

from .job import Limits, Verdict

Report = dict[str, Any]
Note = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """A verdict, and what led to it."""

    verdict: Verdict
    failed_test: str | None = None
    detail: str = ""
    own_word: bool = False
    """Whether operators of the candidate's own objects decided something for the test."""
    forged: bool = False
    """Whether the judge met a message that no honest candidate sends."""
    suspect: bool = False
    """Whether neighbours on a busy machine may have led to it: then it is to be found out alone."""
    tests: int = 0
    """How many there are, where they were counted."""
    tests_passed: int = 0
    """How many of them passed."""


_FORBIDDEN = Decision(Verdict.FORBIDDEN, detail="a blocked system call")


def with_count(decision: Decision, tests: int, passed: int) -> Decision:
    """``decision`` with how many of its ``tests`` were ``passed``.

    No more than the verdict allows, whatever was counted: all where it is that they passed, else at least one fewer,
    and none of a candidate that made a call which is blocked.
    """
    if decision.verdict is Verdict.PASSED:
        return replace(decision, tests=tests, tests_passed=tests)
    most = 0 if decision.verdict is Verdict.FORBIDDEN else max(tests - 1, 0)
    return replace(decision, tests=tests, tests_passed=min(passed, most))


def by_the_kernel(report: Report, limits: Limits) -> Decision | None:
    """A verdict that the kernel's facts alone decide; None where the candidate kept to every limit."""
    if report["oom"]:
        return Decision(Verdict.MEMORY_LIMIT, detail="the kernel ended it for want of memory")
    if report["reason"] == "output":
        return Decision(Verdict.OUTPUT_LIMIT, detail=f"printed more than {limits.output_bytes} bytes")
    if report["reason"] in ("cpu", "idle", "wall") or report["cpu_s"] > limits.cpu_s:
        # A run that was ended for its CPU had half as much again as it may use. One that came to its end in between
        # may have been slowed down, and one that is over its wall time may never have been let run.
        close = report["reason"] not in ("cpu", "idle")
        detail = f"{report['cpu_s']:.2f} s of CPU in {report['wall_s']:.2f} s"
        return Decision(Verdict.TIME_LIMIT, detail=detail, suspect=close)
    if report["blocked"] and report["reason"] == "exit" and _signal(report) == signal.SIGSYS:
        return _FORBIDDEN
    return None


def of_silence(judgement: Report) -> Decision:
    """The verdict where the judge itself did not come to its end: what it was given to chew on was the candidate's."""
    if judgement["oom"]:
        return Decision(Verdict.MEMORY_LIMIT, detail="in the judge, with the candidate's answers")
    if judgement["reason"] == "output":
        return Decision(Verdict.OUTPUT_LIMIT, detail="the test printed the candidate's answers")
    if judgement["reason"] in ("cpu", "idle", "wall"):
        close = judgement["reason"] != "cpu"
        return Decision(Verdict.TIME_LIMIT, detail="in the judge, with the candidate's answers", suspect=close)
    trouble = judgement["stderr"][-300:]
    return Decision(Verdict.SANDBOX_ERROR, detail=f"the judge ended without a word: {trouble}")


def of_calls(note: Note, report: Report) -> Decision:
    """The verdict of a test that ran in the judge, the kernel having nothing against it."""
    match note["outcome"]:
        case "passed" | "failed" as outcome:
            right = outcome == "passed"
            return Decision(Verdict.PASSED) if right else Decision(Verdict.WRONG_ANSWER, note["where"])
        case "slow":
            return _of_slow_call(note["where"], note["most_s"], report)
        case "raised":
            return Decision(_of_exception(note["raised"]), note["where"], f"{note['raised']}: {note['text']}")
        case "ended":
            return of_ending(note["ending"], report)
        case "test_error":
            return Decision(Verdict.TEST_ERROR, note["where"], note["text"])
        case _:
            return Decision(Verdict.SANDBOX_ERROR, note.get("where"), str(note.get("text", note["outcome"])))


def _of_slow_call(where: str, most_s: float, report: Report) -> Decision:
    """The verdict where a call was ended by the clock on the wall.

    All calls together use at least the CPU that one does: where they used less than one may, it slept, or neighbours
    were at work.
    """
    detail = f"one call took over {most_s:.2f} s, all together {report['cpu_s']:.2f} s of CPU"
    return Decision(Verdict.TIME_LIMIT, where, detail, suspect=report["cpu_s"] <= most_s)


def of_ending(ending: dict[str, Any] | None, report: Report) -> Decision:
    """Why a candidate that gave no more answers did so, ``ending`` being its own last message, if it left one."""
    match ending:
        case {"syntax": text}:
            return Decision(Verdict.SYNTAX_ERROR, detail=str(text))
        case {"raised": str(kind), "text": text}:
            return Decision(_of_exception(kind), detail=f"{kind}: {text}")
        case {"exit": _}:
            return Decision(Verdict.EARLY_EXIT, detail="SystemExit")
        case {"forged": True}:
            return Decision(Verdict.WRONG_ANSWER, detail="its answer was no message")
    return _of_status(report)


def _of_exception(kind: str) -> Verdict:
    return Verdict.MEMORY_LIMIT if kind == "MemoryError" else Verdict.RUNTIME_ERROR


def _signal(report: Report) -> int:
    return os.WTERMSIG(report["status"]) if os.WIFSIGNALED(report["status"]) else 0


def _of_status(report: Report) -> Decision:
    """A process that went without a word: crashed, or left on purpose."""
    crash = _signal(report)
    if crash == signal.SIGSYS and report["blocked"]:  # told to end while it did: the judge was quick to see it
        return _FORBIDDEN
    if crash in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT):
        return Decision(Verdict.RUNTIME_ERROR, detail=signal.Signals(crash).name)
    how = f"signal {crash}" if crash else f"exit status {os.waitstatus_to_exitcode(report['status'])}"
    return Decision(Verdict.EARLY_EXIT, detail=how)
