"""Samples, verdicts, pass@k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engine.decoding.sampler import Completion, generate
from engine.recipe.recipe import Recipe
from engine.runs.context import Context, State
from engine.suites.loading import load_suite
from engine.suites.passk import estimate
from engine.suites.problem import Problem, Suite
from engine.training.memory import fewer_sequences
from sandbox import Result, Verdict


@dataclass(frozen=True)
class Sample:
    """One completion of a problem, and what the sandbox said of it."""

    problem: Problem
    number: int
    """Its place among the problem's samples."""
    completion: Completion
    result: Result

    @property
    def passed(self) -> bool:
        """Did every test pass?"""
        return self.result.verdict == Verdict.PASSED

    @property
    def masked(self) -> bool:
        """Is the verdict a fault of ours, which says nothing of the sample?"""
        return self.result.verdict == Verdict.SANDBOX_ERROR


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    n: int
    """Samples a problem."""
    max_new_tokens: int
    temperature: float
    top_p: float = 1.0


def draw_and_judge(
    context: Context, problems: Sequence[Problem], sampling: Sampling, seed: Callable[..., int]
) -> list[list[Sample]]:
    """*Collective.* ``sampling.n`` judged samples of each problem; a seed a sample, from its suite, task and number.

    Each rank draws its share; the first judges all.
    """
    asked = [(problem, number) for problem in problems for number in range(sampling.n)]
    mine = context.ranks.share(asked)
    prompts = {problem.task_id: [*context.policy.bos, *context.policy.encode(problem.prompt)] for problem in problems}
    finished = 0

    def count(_: int, __: Completion) -> None:
        nonlocal finished
        finished += 1
        context.tell(min(finished * context.ranks.size, len(asked)), len(asked), "samples")

    def drawn(settings: Recipe) -> list[Completion]:
        nonlocal finished
        finished = 0
        return generate(
            context.policy,
            [prompts[problem.task_id] for problem, _ in mine],
            [seed(problem.suite, problem.task_id, number) for problem, number in mine],
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=[problem.stop for problem, _ in mine],
            batch_size=settings.compute.decode_batch,
            on_done=count,
            should_stop=context.should_stop,
        )

    with context.clock("sample"):
        ours = context.within_memory(drawn, fewer_sequences)
    context.attend()
    completions = context.ranks.gather(ours)
    context.costs.tokens_generated += sum(len(completion.ids) for completion in completions)
    judged = _judge(context, asked, completions)
    return [[next(judged) for _ in range(sampling.n)] for _ in problems]


def _judge(
    context: Context, asked: Sequence[tuple[Problem, int]], completions: Sequence[Completion]
) -> Iterator[Sample]:
    jobs = [problem.job(completion.text) for (problem, _), completion in zip(asked, completions, strict=True)]
    with context.clock("judge"):
        results = context.ranks.from_first(lambda: list(context.sandbox().judge(jobs)))
    for (problem, number), completion, result in zip(asked, completions, results, strict=True):
        yield Sample(problem, number, completion, result)


def record_samples(
    context: Context, samples: Sequence[Sample], phase: str, step: int, advantages: Sequence[float] | None = None
) -> None:
    """Write judged samples to the store, as drawn for the update ``step`` or measured after it."""
    given: Sequence[float | None] = advantages or [None] * len(samples)
    for sample, advantage in zip(samples, given, strict=True):
        completion, result = sample.completion, sample.result
        context.writer.add(
            "samples",
            {
                "step": step,
                "phase": phase,
                "position": context.position,
                "suite": sample.problem.suite,
                "task": sample.problem.task_id,
                "sample": sample.number,
                "text": completion.text,
                "tokens": len(completion.ids),
                "stop": str(completion.stop),
                "logprob": sum(completion.logprobs),
                "verdict": str(result.verdict),
                "reward": None if sample.masked else float(sample.passed),
                "advantage": advantage,
                "cpu_s": result.cpu_s,
                "wall_s": result.wall_s,
                "peak_mb": result.peak_mb,
                "failed_test": result.failed_test,
                "stdout": result.stdout,
                "stderr": result.stderr,
                "backend": result.backend,
                "tricks": ",".join(result.tricks),
            },
        )


def run(context: Context, _: State | None) -> None:
    """The stage ``eval``: pass@k of the policy on each suite of the recipe; it starts anew when it was interrupted."""
    settings = context.recipe.eval
    sampling = Sampling(settings.n, settings.max_new_tokens, settings.temperature, settings.top_p)
    for number, spec in enumerate(settings.suites):
        suite = load_suite(spec)
        context.phase("eval", number, f"eval {suite.name}")
        record_problems(context, suite)
        # Common random numbers: models are compared on the same draws, and equal models get equal samples.
        groups = draw_and_judge(context, suite.problems, sampling, partial(context.common_seed, "eval"))
        record_samples(context, [sample for group in groups for sample in group], "eval", context.step)
        _record_pass_at_k(context, suite, groups)


def record_problems(context: Context, suite: Suite) -> None:
    """Write a suite's prompts to the store, so that samples can be read beside them."""
    context.writer.problems([{"suite": p.suite, "task": p.task_id, "prompt": p.prompt} for p in suite.problems])


def _record_pass_at_k(context: Context, suite: Suite, groups: Sequence[Sequence[Sample]]) -> None:
    counted = [[sample for sample in group if not sample.masked] for group in groups]
    masked = sum(map(len, groups)) - sum(map(len, counted))
    if masked:
        context.warn("masked", f"{masked} samples of {suite.name} met a sandbox error and are not counted")
    counts = [(len(group), sum(sample.passed for sample in group)) for group in counted if group]
    for k in context.recipe.eval.k:
        usable = [(n, c) for n, c in counts if n >= k]
        if not usable:
            continue
        found = estimate(usable, k)
        row = {
            "position": context.position,
            "suite": suite.name,
            "k": k,
            "step": context.step,
            "after": context.after,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "problems": found.problems,
            "n": context.recipe.eval.n,
            "masked": masked,
        }
        context.writer.add("evals", row)
        context.writer.metrics({f"pass@{k}/{suite.name}": found.value})
    verdicts = Counter(str(sample.result.verdict) for group in groups for sample in group)
    context.writer.metrics({f"verdict/{verdict}": count for verdict, count in verdicts.items()})
