"""What RLVR learns on katas: ours beside trl's GRPOTrainer, and partial credit where hardly anything passes.

**Side by side.** From ra3-tiny, on the first 400 problems of `katas-rlvr`, updates of 16 problems by 8 samples: ours
and trl's with the same loss, clipping, optimiser, length limit and reward.

**Hard.** Of those 400 problems the ones of which none of 8 samples of ra3-tiny passes, trained on with three rewards:
all or nothing; the share of tests passed, for the first half of the updates; the same in every update.

Each training ends with an evaluation by ours: 200 problems of another split (`katas`), 2 samples each, and for the hard
ones themselves, too. Every seed draws its own samples. What is done is kept in the home, and not done again. Needs trl
and datasets.

    python bench/learning.py --home DIR [--seeds 5] [--updates 30] [--jobs 2] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
import transformers
from grpo import train_with_trl

from engine.model.policy import load_policy
from engine.pipeline import execute
from engine.recipe.files import load_recipe
from engine.recipe.recipe import Recipe
from engine.reports.charts import line_chart
from engine.reports.intervals import Interval, across
from engine.reports.tables import in_percent, markdown
from engine.reports.trials import Counts, Floats, common_pass_matrices
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from engine.suites.loading import load_suite
from engine.suites.problem import Problem
from sandbox import Asserts

TRAINED_ON = "katas-rlvr[:400]"
ELSEWHERE = "katas[:200]"


class Learnt(NamedTuple):
    """What a training came to."""

    pass_rates: list[float]
    """Of the samples of each update."""
    counts: Mapping[str, Counts]
    """Of each suite evaluated behind it: samples and passes of each problem."""


class Work(NamedTuple):
    """What all trainings have in common."""

    home: Path
    updates: int

    @property
    def hard(self) -> str:
        """The suite of the problems that the base does not solve."""
        return f"jsonl:{self.home / 'hard.jsonl'}"

    def recipe(self, seed: int, *settings: str, suites: Sequence[str] = (ELSEWHERE,)) -> Recipe:
        """The quickstart's base with what is the same for ours and trl's, and what is set on top."""
        common = [
            f"seed={seed}",
            f"eval.suites={json.dumps(list(suites))}",
            f"rlvr.suite={TRAINED_ON}",
            f"rlvr.updates={self.updates}",
            "rlvr.filter_overlong=false",
            'arms.base.stages=["rlvr", "eval"]',
        ]
        return load_recipe("quickstart", [*common, *settings])

    def run(self, recipe: Recipe) -> Learnt:
        """The one run of the recipe's base, to its end."""
        (run,) = plan(recipe, self.home, arms=["base"]).runs
        execute(self.home, [run.id], Silent())
        with closing(Reader(self.home)) as reader:
            if reader.run(run.id)["status"] != "done":
                raise SystemExit(f"run {run.id} was stopped; run this again for what is left")
            counts = {suite: of for (_, suite), of in reader.eval_counts(run.id).items()}
            return Learnt([value for _, value in reader.series(run.id, "rlvr/pass_rate")], counts)


def start(work: Work, seed: int) -> Learnt:
    """The base, only measured."""
    return work.run(work.recipe(seed, 'arms.base.stages=["eval"]', suites=[ELSEWHERE, work.hard]))


def ours(work: Work, seed: int) -> Learnt:
    """The stage ``rlvr``."""
    return work.run(work.recipe(seed))


def trl(work: Work, seed: int) -> Learnt:
    """trl's GRPOTrainer, measured by ours."""
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore", FutureWarning)  # transformers warns of the names of trl's defaults
    recipe, folder = work.recipe(seed), work.home / f"trl-{seed}"
    policy = load_policy(recipe.model.id)
    trained = train_with_trl(policy, load_suite(TRAINED_ON).problems, recipe.rlvr, folder, seed)
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    measured = work.run(work.recipe(seed, f"model.id={folder}", 'arms.base.stages=["eval"]'))
    return Learnt(trained.pass_rates, measured.counts)


def on_hard(work: Work, seed: int, *, reward: str, partial_updates: int | None) -> Learnt:
    """The stage ``rlvr`` on what the base does not solve."""
    settings = [f"rlvr.suite={work.hard}", f"rlvr.reward={reward}"]
    settings += [] if partial_updates is None else [f"rlvr.partial_updates={partial_updates}"]
    return work.run(work.recipe(seed, *settings, suites=[ELSEWHERE, work.hard]))


def contenders(work: Work) -> dict[str, Callable[[Work, int], Learnt]]:
    """What is trained, by name."""
    return {
        "base": start,
        "ours": ours,
        "trl": trl,
        "all or nothing": partial(on_hard, reward="pass", partial_updates=None),
        "partial, then all or nothing": partial(on_hard, reward="fraction", partial_updates=work.updates // 2),
        "partial": partial(on_hard, reward="fraction", partial_updates=None),
    }


SIDE_BY_SIDE = ("ours", "trl")
HARD = ("all or nothing", "partial, then all or nothing", "partial")


def write_hard(work: Work) -> None:
    """The problems of which none of 8 samples of the base passes, as a suite of one's own."""
    file = work.home / "hard.jsonl"
    if file.exists():
        return
    measure = ["eval.n=8", "eval.k=[1]", "eval.temperature=1", "eval.top_p=1", 'arms.base.stages=["eval"]']
    counts = work.run(work.recipe(0, *measure, suites=[TRAINED_ON])).counts[TRAINED_ON]
    rows = [_as_row(problem) for problem in load_suite(TRAINED_ON).problems if counts[problem.task_id] == (8, 0)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _as_row(problem: Problem) -> dict[str, Any]:
    if not isinstance(problem.test, Asserts):
        raise TypeError(f"{problem.task_id} has no asserts")
    setup, *tests = problem.test.source.split("\n")
    return {
        "task_id": problem.task_id,
        "prompt": problem.prompt,
        "entry_point": problem.entry_point,
        "reference": problem.reference,
        "stop": list(problem.stop),
        "test_setup_code": setup,
        "test_list": tests,
    }


def kept(work: Work, name: str, seed: int) -> Path:
    """Where a training that is done is written down."""
    return work.home / f"{name.replace(' ', '-')}-{seed}.json"


def learn(work: Work, name: str, seed: int) -> None:
    """One training, on one thread."""
    torch.set_num_threads(1)
    learnt = contenders(work)[name](work, seed)
    kept(work, name, seed).write_text(json.dumps(learnt._asdict()), encoding="utf-8")
    print(f"{name}, seed {seed} is done", flush=True)  # noqa: T201


def pass_at_1(*trained: Sequence[Learnt], suite: str) -> list[Floats]:
    """[S, P] of each, on the same problems."""
    return common_pass_matrices([[learnt.counts[suite] for learnt in of] for of in trained], 1) or []


def row(name: str, of: Sequence[Learnt], base: Sequence[Learnt], suites: Sequence[str]) -> list[str]:
    """Mean pass rate of the first and the last five updates, and pass@1 behind them with what it gained."""
    rates = np.array([learnt.pass_rates for learnt in of])
    cells = [in_percent(across(part.mean(1))) for part in (rates[:, :5], rates[:, -5:])]
    for suite in suites:
        after, before = pass_at_1(of, base, suite=suite)
        cells += [in_percent(across(after)), in_percent(across(after - before))]
    return [name, *cells]


def report(work: Work, results: Mapping[str, Sequence[Learnt]]) -> None:
    """Print the tables in Markdown, and draw the pass rates beside the home's other files."""
    hard = load_suite(work.hard).name
    for title, names, suites in (("rlvr-trl", SIDE_BY_SIDE, [ELSEWHERE]), ("rlvr-hard", HARD, [ELSEWHERE, hard])):
        shown = [name for name in names if name in results]
        heads = ["", "first 5 updates", "last 5 updates"]
        for suite in suites:
            heads += [f"pass@1, {suite}", "gained"]
        print("\n" + markdown(heads, [row(name, results[name], results["base"], suites) for name in shown]))  # noqa: T201
        curves = {name: np.array([learnt.pass_rates for learnt in results[name]]) for name in shown}
        if curves:
            chart = line_chart("Samples that pass", "update", "share", curves)
            (work.home / f"{title}.svg").write_text(chart, encoding="utf-8")
    if set(SIDE_BY_SIDE) <= set(results):
        differences: list[tuple[str, Interval]] = []
        mine, theirs = (np.array([of.pass_rates[-5:] for of in results[name]]).mean(1) for name in SIDE_BY_SIDE)
        differences.append(("pass rate of the last 5 updates", across(mine - theirs)))
        ours_SP, trl_SP = pass_at_1(*(results[name] for name in SIDE_BY_SIDE), suite=ELSEWHERE)
        differences.append((f"pass@1, {ELSEWHERE}", across(ours_SP - trl_SP)))
        for name, difference in differences:
            print(f"ours - trl, {name}: {in_percent(difference)}")  # noqa: T201


def main() -> None:
    """Train what is not there, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side")
    parser.add_argument(
        "--only", nargs="+", choices=[*SIDE_BY_SIDE, *HARD], default=[*SIDE_BY_SIDE, *HARD], metavar="NAME"
    )
    arguments = parser.parse_args()
    arguments.home.mkdir(parents=True, exist_ok=True)
    work = Work(arguments.home.absolute(), arguments.updates)
    write_hard(work)
    names = ["base", *arguments.only]
    trainings = [(work, name, seed) for seed in range(arguments.seeds) for name in names]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        pool.starmap(learn, [training for training in trainings if not kept(*training).exists()], chunksize=1)
    results: dict[str, list[Learnt]] = {name: [] for name in names}
    for work, name, seed in trainings:
        results[name].append(Learnt(**json.loads(kept(work, name, seed).read_text(encoding="utf-8"))))
    report(work, results)


if __name__ == "__main__":
    main()
