"""``ra3 judge``: verdicts and pass@k for samples that a model wrote elsewhere, or for a suite's own solutions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.errors import UsageFault
from ra3tui.cli.exit import Exit
from ra3tui.cli.interruption import Ended, undisturbed
from ra3tui.cli.options import AsJson, print_json, safe_json, talk
from ra3tui.cli.samples import Attempt, read_samples, solutions
from ra3tui.cli.verdicts import Pace, make_report, print_report, sample_of, tell_of_faults

if TYPE_CHECKING:
    from engine.suites.problem import Suite
    from sandbox import Result, Sandbox

SuiteSpec = Annotated[str, typer.Argument(metavar="SUITE[:PATH]", help="humaneval, katas[:32], mbpp:mbpp.jsonl …")]
Samples = Annotated[
    Path | None,
    typer.Argument(metavar="SAMPLES.jsonl", help="One sample a line: `task_id`, and `completion` or `solution`."),
]
References = Annotated[bool, typer.Option("--references", help="Judge the suite's own solutions instead of a file.")]
AsJsonl = Annotated[bool, typer.Option("--jsonl", help="Print each result as it comes, one JSON object a line.")]
BackendName = Literal["auto", "namespaces", "docker", "process"]
Backend = Annotated[BackendName, typer.Option(help="Sandbox backend; auto is the first that works here and isolates.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Samples judged side by side; one a core by default.")]
Packages = Annotated[
    str, typer.Option(help="What samples may import: auto (the usual ones), none, or names: numpy,sympy.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Judge only the first so many.")]
Seconds = Annotated[
    float | None, typer.Option("--cpu", min=0.1, help="CPU seconds of a sample; the suite's if absent.")
]
Megabytes = Annotated[int | None, typer.Option("--memory", min=16, help="Memory of a sample in MB.")]
Factor = Annotated[
    float, typer.Option("--timeout-factor", min=0.01, help="Multiplies the CPU seconds of every sample.")
]
Extract = Annotated[Literal["none", "fences"], typer.Option(help="fences takes the program out of a chat's answer.")]


def judge(
    suite: SuiteSpec,
    samples: Samples = None,
    references: References = False,
    as_json: AsJson = False,
    as_jsonl: AsJsonl = False,
    backend: Backend = "auto",
    workers: Workers = None,
    packages: Packages = "auto",
    limit: Limit = None,
    cpu_s: Seconds = None,
    memory_mb: Megabytes = None,
    timeout_factor: Factor = 1.0,
    extract: Extract = "none",
) -> None:
    """Judge samples in the sandbox and print their verdicts and pass@k."""
    from engine.suites.loading import load_suite
    from sandbox import open_sandbox
    from sandbox.backends.packages import parse_asked

    if (samples is not None) == references:
        raise UsageFault("give either a file of samples or --references, which judges the suite's own solutions")
    problems = load_suite(suite, all_splits=True)
    tell_of_what_is_left_out(problems)
    attempts = solutions(problems) if samples is None else read_samples(samples, problems, extract == "fences")
    attempts = [_limited(attempt, cpu_s, memory_mb, timeout_factor) for attempt in attempts[:limit]]
    if samples is not None:  # of several samples a problem the interval is drawn: imported while the sandbox starts
        threading.Thread(target=import_module, args=("numpy",), daemon=True).start()
    results: dict[int, Result] = {}
    asked: KeyboardInterrupt | None = None
    with _closed_undisturbed(open_sandbox(backend, workers, parse_asked(packages))) as opened:
        try:
            for number, result in _judged(opened, attempts, f"judging {problems.kind}"):
                results[number] = result
                if as_jsonl:
                    typer.echo(safe_json({"sample": number} | sample_of(attempts[number], result)))
        except KeyboardInterrupt as interrupted:
            asked = interrupted
    report = make_report(problems.kind, attempts, results)
    if as_json:
        print_json(report)
    elif not as_jsonl:
        print_report(report)
    tell_of_faults(report)
    if asked is not None:
        talk(f"ra3: interrupted: {len(results)} of {len(attempts)} samples were judged, {_counts(report['verdicts'])}")
        raise typer.Exit(asked.exit_code if isinstance(asked, Ended) else Exit.INTERRUPTED)
    if report["verdicts"].get("sandbox_error", 0) == report["n_samples"]:
        raise typer.Exit(Exit.SANDBOX)


def tell_of_what_is_left_out(suite: Suite) -> None:
    """Say which records of the suite's file are no problem of it."""
    for note in suite.notes:
        talk(f"{suite.kind}: {note}")


def _limited(attempt: Attempt, cpu_s: float | None, memory_mb: int | None, factor: float) -> Attempt:
    """With what was asked for in place of the suite's own limits."""
    limits = attempt.job.limits
    limits = replace(
        limits,
        cpu_s=(cpu_s or limits.cpu_s) * factor,
        memory_mb=memory_mb or limits.memory_mb,
        deadline_s=max(limits.deadline_s, cpu_s or 0.0) * factor,
    )
    return replace(attempt, job=replace(attempt.job, limits=limits))


@contextmanager
def _closed_undisturbed(sandbox: Sandbox) -> Iterator[Sandbox]:
    try:
        yield sandbox
    finally:
        with undisturbed():
            sandbox.close()


def _judged(sandbox: Sandbox, attempts: list[Attempt], title: str) -> Iterator[tuple[int, Result]]:
    """The results with their samples' numbers, as they come."""
    pace = Pace(title, len(attempts))
    jobs = (attempt.job for attempt in attempts)
    with closing(pace):
        for done, each in enumerate(sandbox.judge_as_they_come(jobs), start=1):
            yield each
            pace.tell(done)


def _counts(verdicts: dict[str, int]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items()) or "none with a verdict"
