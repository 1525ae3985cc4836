"""The stage ``eval``: pass@k of the policy on each suite of the recipe."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from engine.decoding.drawing import Truncation
from engine.methods.sampling import (
    Sample,
    Sampling,
    draw_and_judge,
    record_problems,
    sample_row,
    warn_of_broken_tests,
)
from engine.runs.display import Display
from engine.runs.stages.context import Context
from engine.runs.stages.stage import Stage
from engine.suites.passk import estimate
from engine.suites.problem import Problem, Suite
from sandbox import Verdict


def run(context: Context, _: None) -> None:
    """The stage ``eval``; one that was interrupted goes on behind the last portion that was judged."""
    for number, spec in enumerate(context.recipe.eval.suites):
        suite = context.suites[spec]
        record_problems(context.writer, suite)
        _record_pass_at_k(context, suite, _verdicts(context, suite, number))


EVAL = Stage("eval", run)


def _verdicts(context: Context, suite: Suite, number: int) -> list[list[Verdict]]:
    """*Collective.* Of the samples of each problem; those that the store has already are not drawn again."""
    settings = context.recipe.eval
    truncation = Truncation(settings.top_k, settings.top_p, settings.min_p)
    sampling = Sampling(settings.n, settings.max_new_tokens, settings.temperature, truncation, settings.gate_bias)
    name = suite.problems[0].suite
    kept = context.ranks.from_first(lambda: context.writer.eval_verdicts(context.position, name, sampling.n))
    found = {task: [Verdict(verdict) for verdict in verdicts] for task, verdicts in kept.items()}
    left = [problem for problem in suite.problems if problem.task_id not in found]
    done = sampling.n * (len(suite.problems) - len(left))
    context.display.phase("eval", context.position, number, title=f"eval {suite.name}", done=done)
    size = math.ceil(settings.portion * context.ranks.size / sampling.n)
    for begin in range(0, len(left), size):
        portion = left[begin : begin + size]
        tell = partial(_tell, context.display, done + begin * sampling.n, len(suite.problems) * sampling.n)
        for problem, group in zip(portion, _judged(context, portion, sampling, tell), strict=True):
            found[problem.task_id] = [sample.result.verdict for sample in group]
    return [found[problem.task_id] for problem in suite.problems]


def _judged(
    context: Context, problems: Sequence[Problem], sampling: Sampling, tell: Callable[[int, int, str], None]
) -> list[list[Sample]]:
    """*Collective.* The samples of a portion, which are kept, together with what the stage has cost so far."""
    # Common random numbers: models are compared on the same draws, and equal models get equal samples.
    seed = partial(context.seeds.common, "eval")
    groups = draw_and_judge(context.resources, context.sandbox, context.policy, problems, sampling, seed, tell)
    samples = [sample for group in groups for sample in group]
    warn_of_broken_tests(context.display, samples)
    rows = [sample_row(sample, context.position, "eval", context.step) for sample in samples]
    costs = context.ledger.settled()
    context.ledger.keep()
    context.writer.keep_samples(rows, context.position, "eval", status="running", **costs.columns())
    return groups


def _tell(display: Display, before: int, total: int, done: int, _: int, unit: str) -> None:
    display.tell(before + done, total, unit)


def _record_pass_at_k(context: Context, suite: Suite, groups: Sequence[Sequence[Verdict]]) -> None:
    counted = [[verdict for verdict in group if not verdict.says_nothing] for group in groups]
    masked = sum(map(len, groups)) - sum(map(len, counted))
    if masked:
        context.display.warn("masked", f"{masked} samples of {suite.name} met a fault of ours and are not counted")
    counts = [(len(group), group.count(Verdict.PASSED)) for group in counted if group]
    for k in context.recipe.eval.k:
        usable = [(n, c) for n, c in counts if n >= k]
        if not usable:
            continue
        rate = estimate(usable, k)
        row = {
            "position": context.position,
            "suite": suite.name,
            "k": k,
            "step": context.step,
            "after": context.after,
            "value": rate.value,
            "low": rate.low,
            "high": rate.high,
            "problems": rate.problems,
            "n": context.recipe.eval.n,
            "masked": masked,
        }
        context.writer.add("evals", row)
        context.writer.metrics({f"pass@{k}/{suite.name}": rate.value})
    verdicts = Counter(str(verdict) for group in groups for verdict in group)
    context.writer.metrics({f"verdict/{verdict}": count for verdict, count in verdicts.items()})
