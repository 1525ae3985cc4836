"""A problem: what the model sees, and how what it writes becomes a job for the sandbox."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UsageFault
from engine.text import unix_newlines
from sandbox import Asserts, Calls, Check, Job, Limits, Reference, Stdio

DEFAULT_LIMITS = Limits()
_TOLD, _TOLD_CASES = 300, 20
_FUTURE_LINE = re.compile(r"^from\s+__future__\s+import[^\n(]*$", re.MULTILINE)
_FUTURE = re.compile(r"^from\s+__future__\s+import", re.MULTILINE)


class SuiteError(UsageFault):
    """A suite cannot be had: the message says which, what was found where, and how to mend it."""


class LeftOut(Exception):
    """A problem of a file that its suite does not ask; the message says which kind of problem, to be counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One task: what the model sees, and how what it writes is judged."""

    suite: str
    """The name of the suite that holds all problems of its file: `humaneval`, `jsonl:own.jsonl#3f9a1c`."""
    task_id: str
    """No other problem of the suite has it."""
    prompt: str
    """What the model sees; ends without a newline, so that a completion leads with its own."""
    entry_point: str
    """The function that the tests call."""
    reference: str | None
    """The suite's own solution, as a completion; None where the suite has none."""
    stop: tuple[str, ...]
    """A completion ends before the first of these."""
    test: Check | Asserts | Calls | Reference | Stdio
    limits: Limits = DEFAULT_LIMITS
    whole: bool = False
    """Whether the prompt is words about a program, no part of one: what is written is all of it."""
    prelude: str = ""
    """What the suite has stand before a whole program, such as imports."""
    postlude: str = ""
    """What it has stand behind one."""
    flaw: str = ""
    """What is known to be wrong with it, where its verdicts are not to be trusted."""

    def program(self, completion: str) -> str:
        """The program that `completion` makes: what follows the prompt, or (recognised by its start) all of it.

        A whole program may lean on the prompt's imports and helpers, as HumanEval's own judge lets it, so the prompt
        stays before it wherever the two together can be Python.
        """
        completion = unix_newlines(completion)
        if self.whole:
            return completion
        if self._is_whole(completion) and (_FUTURE.search(completion) or not _compiles(self.prompt)):
            return completion
        return self.prompt + ("" if completion.startswith("\n") else "\n") + completion

    def job(self, completion: str) -> Job:
        """Judge what a model wrote after the prompt (or a whole program in its place)."""
        return self.job_of_program(self.program(completion))

    def job_of_program(self, program: str) -> Job:
        """Judge a program as it is, with nothing around it but what the suite has around every one."""
        program = _after(self.prelude, unix_newlines(program)) + (self.postlude and f"\n{self.postlude}")
        return Job(program, self.test, self.limits, tag=self.task_id)

    def _is_whole(self, completion: str) -> bool:
        """It starts at column 0 and defines the entry point there; a body is indented, whatever follows it."""
        first = next((row for row in completion.split("\n") if row.strip()), "")
        definition = rf"^(async\s+def|def|class)\s+{re.escape(self.entry_point)}\b"
        return not first[:1].isspace() and re.search(definition, completion, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Suite:
    """Problems in the order of their file."""

    kind: str
    """The spec without its path: `humaneval[:32]`, `jsonl`."""
    name: str
    """What the store calls it: `humaneval[:32]`, `jsonl:own.jsonl#3f9a1c`."""
    problems: tuple[Problem, ...]
    digest: str
    """SHA-256 of the file it was read from."""
    notes: tuple[str, ...] = ()
    """One line each: how many records of the file are no problem of the suite, and why."""


def truncate(completion: str, stop: Sequence[str]) -> str:
    """`completion` before the first of the `stop` sequences in it."""
    ends = [end for end in (completion.find(sequence) for sequence in stop) if end >= 0]
    return completion[: min(ends)] if ends else completion


def told(test: Check | Asserts | Calls | Reference | Stdio) -> str:
    """A test as a person may read it, its first cases where it has many."""
    match test:
        case Check() | Asserts():
            return test.source
        case Reference():
            calls = [f"{test.entry_point}(*{call!r})" for _, batch in test.batches for call in batch]
        case Calls():
            calls = [f"{test.entry_point}(*{arguments!r}) == {value!r}" for arguments, value in test.cases]
        case Stdio():
            calls = [f"{stdin!r} -> {expected!r}" for stdin, expected in test.cases]
    return "\n".join([*(call[:_TOLD] for call in calls[:_TOLD_CASES]), f"{len(calls)} cases"])


def _after(prelude: str, program: str) -> str:
    """Both, with what must come first in any program before them."""
    if not prelude:
        return program
    future = "\n".join(_FUTURE_LINE.findall(program))
    return f"{future}\n{prelude}\n{_FUTURE_LINE.sub('', program)}"


def _compiles(prompt: str) -> bool:
    try:
        ast.parse(prompt)
    except (SyntaxError, ValueError):
        return False
    return True
