"""What ``ra3 judge`` tells of the verdicts: one report for scripts, one for people, and how far it is."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ra3tui.cli.options import duration, printable, say, stdout, talk
from ra3tui.cli.samples import Attempt

if TYPE_CHECKING:
    from rich.table import Table

    from sandbox import Result

_SHOWN = 20  # samples that did not pass, in the table for a person
_TERMINAL_S, _LINE_S = 0.2, 10.0  # at most one word of how far it is in this time


def make_report(suite: str, attempts: list[Attempt], results: dict[int, Result]) -> dict[str, Any]:
    """What `--json` prints: pass@k over the problems that have a sample, and each sample in the file's order."""
    from engine.suites.passk import estimate, reported_ks

    judged = [(attempts[number], results[number]) for number in sorted(results)]
    counts = count_passed(judged)
    estimates = [estimate(counts, k) for k in reported_ks(counts)]
    return {
        "suite": suite,
        "n_samples": len(attempts),
        "n_judged": len(judged),
        "n_problems": len({attempt.task_id for attempt in attempts}),
        "pass@k": {str(e.k): e.value for e in estimates},
        "interval_95": {str(e.k): [e.low, e.high] for e in estimates},
        "verdicts": dict(Counter(str(result.verdict) for _, result in judged).most_common()),
        "samples": [sample_of(*each) for each in judged],
    }


def count_passed(judged: list[tuple[Attempt, Result]]) -> list[tuple[int, int]]:
    """For each problem how many samples got a verdict, and how many passed."""
    counted: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for attempt, result in judged:
        counted[attempt.task_id] += not result.verdict.says_nothing
        passed[attempt.task_id] += result.verdict == "passed"
    return [(n, passed[task_id]) for task_id, n in counted.items()]


def sample_of(attempt: Attempt, result: Result) -> dict[str, Any]:
    """One sample of the report."""
    return {
        "task_id": attempt.task_id,
        "verdict": str(result.verdict),
        "passed": result.verdict == "passed",
        "cpu_s": round(result.cpu_s, 4),
        "wall_s": round(result.wall_s, 4),
        "peak_mb": round(result.peak_mb, 1),
        "failed_test": result.failed_test,
        "detail": result.detail,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "backend": result.backend,
        "layers": list(result.layers),
        "packages": list(result.packages),
        "tricks": list(result.tricks),
    }


def print_report(report: dict[str, Any]) -> None:
    """The report for a person."""
    say(f"{report['suite']}: {report['n_samples']} samples of {report['n_problems']} problems")
    for k, value in report["pass@k"].items():
        low, high = report["interval_95"][k]
        say(f"  pass@{k}  {value:6.1%}  (95% interval {low:.1%} to {high:.1%})")
    for verdict, n in report["verdicts"].items():
        say(f"  {verdict:15} {n}")
    failed = [sample for sample in report["samples"] if not sample["passed"]]
    if failed:
        stdout().print(_failures_table(failed[:_SHOWN]))
    if len(failed) > _SHOWN:
        say(f"... and {len(failed) - _SHOWN} more; --json has them all")


def _failures_table(samples: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("task", "verdict", "cpu", "failed test", "detail", box=box.SIMPLE_HEAD, pad_edge=False)
    for sample in samples:
        detail = printable(sample["detail"].replace("\n", " "))[:100]
        table.add_row(
            sample["task_id"], sample["verdict"], f"{sample['cpu_s']:.2f}s", sample["failed_test"] or "", detail
        )
    return table


def tell_of_faults(report: dict[str, Any]) -> None:
    """Samples without a verdict, and tests that are broken, each once a problem."""
    faults = [sample for sample in report["samples"] if sample["verdict"] == "sandbox_error"]
    if faults:
        why = faults[0]["detail"]
        talk(f"ra3: the sandbox failed on {len(faults)} samples, which count for nothing: {why}")
    broken = {sample["task_id"]: sample["detail"] for sample in report["samples"] if sample["verdict"] == "test_error"}
    for task_id, why in broken.items():
        talk(f"ra3: the test of {task_id} is broken, its samples count for nothing: {why}")


class Pace:
    """How far the judging is, how fast, and how long it will take, on stderr."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._began = self._told = time.monotonic()
        self._done = 0
        self._on_terminal = sys.stderr.isatty()

    def tell(self, done: int) -> None:
        """So many are judged; on a terminal one line that changes, elsewhere a line now and then."""
        now, self._done = time.monotonic(), done
        if now - self._told < (_TERMINAL_S if self._on_terminal else _LINE_S) and done < self._total:
            return
        self._told = now
        rate = done / max(now - self._began, 1e-9)
        line = f"{self._title}: {done}/{self._total}, {rate:.1f}/s, eta {duration((self._total - done) / rate)}"
        if self._on_terminal:
            sys.stderr.write(f"\r\x1b[K{printable(line)}")
            sys.stderr.flush()
        elif done < self._total:
            talk(line)

    def close(self) -> None:
        """In place of the line that changes, how long it took."""
        if self._on_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        seconds = time.monotonic() - self._began
        talk(f"{self._title}: {self._done} in {seconds:.1f} s, {self._done / max(seconds, 1e-9):.1f}/s")
