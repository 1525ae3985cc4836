"""One worker: a pair of cells, and a job taken through them to its verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .backends.cell import Cell, CellLost, Pair, wait_for
from .compare import printed_right
from .inside import orders
from .inside.values import Untellable, parse, to_wire
from .job import CHECKER_LIMITS, Asserts, Calls, Check, Job, Limits, Program, Reference, Result, Stdio, Test, Verdict
from .leaving import was_the_end
from .tricks import seen
from .verdicts import Decision, Report, by_the_kernel, of_calls, of_ending, of_silence, with_count

GRACE = 1.5
"""A run may use this many times its CPU before it is ended, so that one slowed down by its neighbours can be told."""
HARD_WALL = 20.0
"""Wall seconds, per CPU second allowed, after which a run is ended whatever it did."""
RECYCLE_AFTER = 2000
"""Jobs that a pair of cells judges before it is replaced."""
REVIVE_S = 60.0
"""How long a backend that fails is waited for, so that no job is lost to an engine's restart."""
REPORT_S = 30.0
"""How long a fork server may take to tell of a run that is over."""


CHECKER_FILES = ("input.txt", "correct_output.txt", "solution_output.txt")
"""What a checker is given, in its order."""
ACCEPTED = ("1", "100")


class Worker:
    """Judges one job after the other; starts its cells when it needs them and replaces them when they fail."""

    def __init__(self, backend: str, open_pair: Callable[[int], Pair], core: int) -> None:
        self._backend, self._open_pair, self._core = backend, open_pair, core
        self._pair: Pair | None = None
        self._task = self._memory_mb = self._jobs = 0
        self._soiled = False

    def start(self) -> None:
        """Open the cells now; raises CellLost or OSError where the backend does not work."""
        if self._pair is None:
            self._pair = self._open_pair(self._core)
            self._memory_mb = self._jobs = 0
            self._soiled = False

    def close(self) -> None:
        """End the cells."""
        if self._pair is not None:
            self._pair.close()
        self._pair = None

    def revive(self, given_up: threading.Event) -> None:
        """Start the cells, waiting for a backend that is just being restarted, but not for one that stays away."""
        deadline = time.monotonic() + REVIVE_S
        while time.monotonic() < deadline:
            try:
                return self.start()
            except (CellLost, OSError):
                if given_up.wait(0.5):
                    return None
        return None

    def abort(self) -> None:
        """Have the job in hand end as ``sandbox_error``; may be called from another thread."""
        pair = self._pair
        if pair is not None:
            pair.abort()

    def judge(self, job: Job, given_up: threading.Event) -> tuple[Result, bool]:
        """Judge one job: the result, and whether it is to be found out again alone.

        Trouble of ours comes back as ``sandbox_error``, never as an exception.
        """
        started = time.monotonic()
        suspect = False
        try:
            self.start()
            if given_up.is_set():  # from here on `abort` reaches the cells
                raise CellLost("the job was cancelled")
            decision, reports = self._judge(job)
            tricks = seen(job.program, job.test, decision.verdict, decision.forged, decision.own_word)
            result, suspect = replace(_result(decision, reports), tricks=tricks), decision.suspect
        except Untellable as error:
            result = Result(Verdict.TEST_ERROR, detail=f"the cases cannot be told: {error}")
        except Exception as error:  # whatever is wrong with one job is that job's result, and the cells begin anew
            self.close()
            result = Result(Verdict.SANDBOX_ERROR, detail=f"{type(error).__name__}: {error}")
        layers, packages = (self._pair.layers, self._pair.packages) if self._pair is not None else ((), ())
        wall = round(time.monotonic() - started, 6)
        self._recycle_if_due()
        result = replace(result, backend=self._backend, layers=layers, packages=packages, tag=job.tag, wall_s=wall)
        return result, suspect

    def _recycle_if_due(self) -> None:
        """Fresh cells after many jobs, or after one that left something behind that resists removal."""
        self._jobs += 1
        if self._soiled or self._jobs >= RECYCLE_AFTER:
            self.close()

    def _cells(self) -> tuple[Cell, Cell]:
        if self._pair is None:
            raise CellLost("no cells are open")
        return self._pair.candidates, self._pair.judges

    def _judge(self, job: Job) -> tuple[Decision, list[Report]]:
        if job.limits.memory_mb != self._memory_mb:
            for cell in self._cells():
                cell.set_memory(job.limits.memory_mb)
            self._memory_mb = job.limits.memory_mb
        match job.test:
            case Stdio():
                return self._judge_printing(job, job.test)
            case Program():
                decision, reports = self._judge_program(job, job.test)
                return with_count(decision, 1, 0) if job.count else decision, reports
            case _:
                return self._judge_calls(job, job.test)

    def _judge_calls(self, job: Job, test: Check | Asserts | Calls | Reference) -> tuple[Decision, list[Report]]:
        """Candidate and judge side by side, talking to each other over a channel of their own."""
        candidates, judges = self._cells()
        self._task += 1
        setup = test.setup if isinstance(test, Asserts) else ""
        judges.order(self._judgement(orders.JUDGE, job.limits, _tell_test(test) | {"count": job.count}))
        candidates.order(self._run_of(orders.SERVE, job, setup=setup))
        report, judgement = self._both_reports(job.limits)
        heard = _of_judgement(judgement, report)
        decision = by_the_kernel(report, job.limits) or heard
        if job.count:
            decision = with_count(decision, heard.tests, 0 if heard.forged else heard.tests_passed)
        if report["reason"] == "idle":
            decision = replace(decision, suspect=not _was_waited_for(judgement, job.limits))
        if judgement["reason"] == "cpu":  # the two kept each other at work: nobody's neighbours led to that
            decision = replace(decision, suspect=False)
        return decision, [report]

    def _both_reports(self, limits: Limits) -> tuple[Report, Report]:
        """What both fork servers tell; the candidate is stopped as soon as the judge is through with it."""
        candidates, judges = self._cells()
        deadline = time.monotonic() + limits.cpu_s * HARD_WALL * 2 + REPORT_S
        run = judgement = None
        while run is None or judgement is None:
            wait_for((candidates, judges), deadline)
            run = run or self._own(candidates.poll())
            if judgement is None and (judgement := self._own(judges.poll())) is not None and run is None:
                candidates.order(orders.end(self._task))
        return run, judgement

    def _own(self, message: dict[str, Any] | None) -> dict[str, Any] | None:
        if message is not None:
            if message.get("id") != self._task:
                raise CellLost("the cell answered another task")
            self._soiled = self._soiled or not message["clean"]
        return message

    def _judge_program(self, job: Job, test: Program) -> tuple[Decision, list[Report]]:
        report = self._run_alone(job, test.stdin)
        decision = by_the_kernel(report, job.limits)
        if decision is None:
            ending = _ending_of(report)
            came_to_end = report["status"] == 0 and ("ready" in ending or _left_at_its_end(ending, job.program))
            decision = Decision(Verdict.PASSED) if came_to_end else of_ending(ending, report)
        return decision, [report]

    def _judge_printing(self, job: Job, test: Stdio) -> tuple[Decision, list[Report]]:
        """Case after case, each in a process of its own, until one fails; where they are counted, all."""
        reports: list[Report] = []
        if not test.cases:
            return Decision(Verdict.TEST_ERROR, detail="the test has no cases"), reports
        decisions: list[Decision] = []
        for number, (stdin, expected) in enumerate(test.cases, 1):
            limits = _room_for(expected, job.limits)
            report = self._run_alone(replace(job, limits=limits), stdin, test.files)
            reports.append(report)
            decision = by_the_kernel(report, limits) or self._of_output(job, test, stdin, expected, report)
            overdue = sum(each["cpu_s"] for each in reports) > job.limits.deadline_s
            if overdue:
                decision = Decision(Verdict.TIME_LIMIT, detail="the whole problem's deadline")
            decisions.append(replace(decision, failed_test=f"case {number}"))
            if decision.verdict.says_nothing:
                return decisions[-1], reports
            if decision.verdict is not Verdict.PASSED and (overdue or not job.count):
                break
        return _of_cases(decisions, len(test.cases) if job.count else 0), reports

    def _of_output(self, job: Job, test: Stdio, stdin: str, expected: str, report: Report) -> Decision:
        if report["status"] != 0:
            ending = _ending_of(report)
            left = Decision(Verdict.RUNTIME_ERROR, detail=f"exit status {ending['exit']}") if "exit" in ending else None
            return left or of_ending(ending, report)
        if test.checker_program is not None:
            return self._run_checker(test.checker_program, job.limits, stdin, expected, report["stdout"])
        if test.checker is not None:
            return self._ask_checker(job.limits, test.checker, stdin, expected, report["stdout"])
        right = printed_right(report["stdout"], expected, test)
        return Decision(Verdict.PASSED if right else Verdict.WRONG_ANSWER)

    def _ask_checker(self, limits: Limits, source: str, stdin: str, expected: str, output: str) -> Decision:
        _, judges = self._cells()
        self._task += 1
        test = {"kind": "checker", "source": source, "stdin": stdin, "expected": expected, "output": output}
        judges.order(self._judgement(orders.CHECK, limits, test))
        judgement = self._own(judges.receive(time.monotonic() + limits.cpu_s * HARD_WALL * 2 + REPORT_S))
        return _of_judgement(judgement or {}, {})

    def _run_checker(self, source: str, limits: Limits, stdin: str, expected: str, output: str) -> Decision:
        """Ask a checker that is a program, in the judges' cell; where it says nothing, of the expected output too."""
        limits = replace(CHECKER_LIMITS, memory_mb=limits.memory_mb)
        said = self._checkers_word(source, limits, stdin, expected, output)
        if said is not None:
            return Decision(Verdict.PASSED if said in ACCEPTED else Verdict.WRONG_ANSWER)
        if self._checkers_word(source, limits, stdin, expected, expected) is not None:
            return Decision(Verdict.WRONG_ANSWER, detail="the checker came to no end on its output")
        return Decision(Verdict.TEST_ERROR, detail="the checker comes to no end, not even on the expected output")

    def _checkers_word(self, source: str, limits: Limits, stdin: str, expected: str, output: str) -> str | None:
        """What it printed; None where it was ended, or failed before it printed anything."""
        told = dict(zip(CHECKER_FILES, (stdin, expected, output), strict=True))
        _, judges = self._cells()
        self._task += 1
        judges.order(
            self._run_of(orders.RUN, Job(source, Program(), limits), files=told, arguments=list(CHECKER_FILES))
        )
        report = self._own(judges.receive(_latest(limits))) or {}
        if by_the_kernel(report, limits) is not None:
            return None
        return report["stdout"].strip() or None

    def _run_alone(self, job: Job, stdin: str, files: tuple[str, str] | None = None) -> Report:
        """Run a whole program once; with ``files``, it reads one and what it leaves in the other is its output."""
        candidates, _ = self._cells()
        self._task += 1
        given = {"files": {files[0]: stdin}, "reads": files[1]} if files else {"stdin": stdin}
        candidates.order(self._run_of(orders.RUN, job, **given))
        return self._own(candidates.receive(_latest(job.limits))) or {}

    def _run_of(self, kind: int, job: Job, **given: Any) -> bytes:
        limits = _tell_limits(job.limits, self._cells()[0].accounts_memory)
        return orders.order(kind, self._task, limits, {"program": job.program, **given})

    def _judgement(self, kind: int, limits: Limits, test: dict[str, Any]) -> bytes:
        """The judge waits for its candidate, so it may sit idle for as long as that may run."""
        told = _tell_limits(limits, self._cells()[1].accounts_memory)
        longest = told.wall_s * 1.5
        told = told._replace(idle_s=longest, wall_s=longest)
        return orders.order(kind, self._task, told, {"test": test, "answer_bytes": limits.memory_mb << 20})


def _of_cases(decisions: list[Decision], tests: int) -> Decision:
    """What the decision of each case comes to: that of the first that failed. ``tests`` is 0 where none are counted."""
    passed = [decision.verdict is Verdict.PASSED for decision in decisions]
    first = Decision(Verdict.PASSED) if all(passed) else decisions[passed.index(False)]
    suspect = any(decision.suspect for decision in decisions)
    return with_count(replace(first, suspect=suspect), tests, sum(passed))


def _latest(limits: Limits) -> float:
    """When a run must have been told of."""
    return time.monotonic() + limits.cpu_s * HARD_WALL + REPORT_S


def _room_for(expected: str, limits: Limits) -> Limits:
    """The limits with room for twice the output that is right."""
    twice = 2 * len(expected.encode("utf-8", "surrogatepass"))
    return replace(limits, output_bytes=max(limits.output_bytes, twice))


def _tell_limits(limits: Limits, accounted: bool) -> orders.Limits:
    """As the fork server sets them. Where memory is accounted for, the address space only stops one huge claim."""
    address_mb = 2 * limits.memory_mb + 1024 if accounted else limits.memory_mb
    return orders.Limits(
        kill_cpu_s=limits.cpu_s * GRACE,
        idle_s=limits.cpu_s * limits.wall_factor,
        wall_s=limits.cpu_s * HARD_WALL,
        address_bytes=address_mb << 20,
        output_bytes=limits.output_bytes,
        processes=limits.processes,
        open_files=limits.open_files,
        file_bytes=limits.file_mb << 20,
    )


def _tell_test(test: Test) -> dict[str, Any]:
    """The test as the judge's cell reads it; raises Untellable for a value that has no form in tagged JSON."""
    told = {name: value for name, value in vars(test).items() if name != "cases"}
    if isinstance(test, Reference):
        told["batches"] = to_wire([[name, [list(call) for call in calls]] for name, calls in test.batches])
    if isinstance(test, Calls):
        told["cases"] = to_wire([[list(arguments), expected] for arguments, expected in test.cases])
    return told | {"kind": type(test).__name__.lower()}


def _of_judgement(judgement: Report, report: Report) -> Decision:
    """What the judge said, or what its silence means."""
    if not judgement["note"]:
        return of_silence(judgement)
    note = parse(judgement["note"].encode())
    return replace(
        of_calls(note, report),
        forged=bool(note.get("forged")),
        own_word=bool(note.get("own_word")),
        tests=note.get("tests", 0),
        tests_passed=note.get("tests_passed", 0),
    )


def _was_waited_for(judgement: Report, limits: Limits) -> bool:
    """Whether one call alone slept for too long, and not the judge, between calls, for want of a processor."""
    waited = parse(judgement["note"].encode()).get("waited_s", 0.0) if judgement["note"] else 0.0
    return bool(waited >= 0.9 * limits.cpu_s * limits.wall_factor)


def _ending_of(report: Report) -> dict[str, Any]:
    """A whole program's last word on its channel, which it may have forged: used to explain, not to decide."""
    try:
        ending = parse(report["note"].encode())
    except Exception:  # any text may stand here
        return {}
    return ending if isinstance(ending, dict) else {}


def _left_at_its_end(ending: dict[str, Any], program: str) -> bool:
    match ending:
        case {"exit": _, "lines": [*lines]} if all(isinstance(line, int) for line in lines):
            return was_the_end(program, lines)
    return False


def _result(decision: Decision, reports: list[Report]) -> Result:
    return Result(
        decision.verdict,
        cpu_s=round(sum(report["cpu_s"] for report in reports), 6),
        peak_mb=round(max((report["peak_mb"] for report in reports), default=0.0), 1),
        failed_test=decision.failed_test,
        tests=decision.tests,
        tests_passed=decision.tests_passed,
        stdout=_readable(reports[-1]["stdout"]) if reports else "",
        stderr=_readable(reports[-1]["stderr"]) if reports else "",
        detail=decision.detail.encode("utf-8", "backslashreplace").decode(),
    )


def _readable(output: str) -> str:
    r"""Output as text that can be stored and shown: a byte that is no UTF-8 becomes ``\xff``."""
    return output.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
