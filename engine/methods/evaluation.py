"""The stage ``eval``: pass@k of the policy on each suite of the recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from engine.decoding.drawing import Truncation
from engine.methods.sampling import (
    Sample,
    Sampling,
    draw,
    judge,
    record_problems,
    record_samples,
    warn_of_broken_tests,
)
from engine.runs.stages.context import Context
from engine.runs.stages.stage import Stage
from engine.suites.passk import estimate
from engine.suites.problem import Suite


def run(context: Context, _: None) -> None:
    """The stage ``eval``; it starts anew when it was interrupted."""
    settings = context.recipe.eval
    truncation = Truncation(settings.top_k, settings.top_p, settings.min_p)
    sampling = Sampling(settings.n, settings.max_new_tokens, settings.temperature, truncation, settings.gate_bias)
    for number, spec in enumerate(settings.suites):
        suite = context.suites[spec]
        context.display.phase("eval", context.position, number, title=f"eval {suite.name}")
        record_problems(context.writer, suite)
        groups = _sample(context, suite, sampling)
        samples = [sample for group in groups for sample in group]
        record_samples(context.writer, context.position, samples, "eval", context.step)
        warn_of_broken_tests(context.display, samples)
        _record_pass_at_k(context, suite, groups)


EVAL = Stage("eval", run)


def _sample(context: Context, suite: Suite, sampling: Sampling) -> list[list[Sample]]:
    # Common random numbers: models are compared on the same draws, and equal models get equal samples.
    seed = partial(context.seeds.common, "eval")
    completions = draw(context.resources, context.policy, suite.problems, sampling, seed, context.display.tell)
    return judge(context.resources, context.sandbox, suite.problems, completions)


def _record_pass_at_k(context: Context, suite: Suite, groups: Sequence[Sequence[Sample]]) -> None:
    counted = [[sample for sample in group if not sample.masked] for group in groups]
    masked = sum(map(len, groups)) - sum(map(len, counted))
    if masked:
        context.display.warn("masked", f"{masked} samples of {suite.name} met a fault of ours and are not counted")
    counts = [(len(group), sum(sample.passed for sample in group)) for group in counted if group]
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
    verdicts = Counter(str(sample.result.verdict) for group in groups for sample in group)
    context.writer.metrics({f"verdict/{verdict}": count for verdict, count in verdicts.items()})
