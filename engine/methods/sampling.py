"""Problems to judged samples: completions are drawn by all ranks, judged by the first, and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.decoding.drawing import EVERYTHING, Truncation
from engine.decoding.sampler import Completion, generate
from engine.methods.judging import Judging
from engine.model.encoding import encode_prompt
from engine.model.policy import Policy
from engine.recipe.sections import Compute
from engine.runs.display import Display
from engine.runs.stages.context import Resources
from engine.store.writer import Writer
from engine.suites.problem import Problem, Suite
from engine.training.memory import fewer_sequences
from sandbox import Result, Sandbox, Verdict


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
    def fraction(self) -> float:
        """The share of its problem's tests that it passed, where they were counted; else 1 where it passed, and 0."""
        counted = self.result.tests
        return self.result.tests_passed / counted if counted else float(self.passed)

    @property
    def masked(self) -> bool:
        """Is the verdict a fault of the sandbox or of the suite, which says nothing of the sample?"""
        return self.result.verdict.says_nothing


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    n: int
    """Samples a problem."""
    max_new_tokens: int
    temperature: float
    truncation: Truncation = EVERYTHING
    gate_bias: float = 0.0
    """Nats added to the logit of a comment where a line starts."""


def draw(
    resources: Resources,
    policy: Policy,
    problems: Sequence[Problem],
    sampling: Sampling,
    seed: Callable[[str, str, int], int],
    tell: Callable[[int, int, str], None],
    hear: Callable[[Problem, Completion], None] | None = None,
) -> list[list[Completion]]:
    """*Collective.* ``sampling.n`` completions of each problem, each rank drawing its share.

    Args:
        resources: what the drawing is done with.
        policy: that completes.
        problems: to be completed.
        sampling: how.
        seed: of a sample, by its problem's suite and task and its own number.
        tell: is told how many are done, of how many, in which unit.
        hear: is given each completion of this rank as soon as it has ended.
    """
    samples = [(problem, number) for problem in problems for number in range(sampling.n)]
    mine = resources.ranks.share(samples)
    prompts = {problem.task_id: encode_prompt(policy, problem.prompt) for problem in problems}
    finished = 0

    def count(index: int, completion: Completion) -> None:
        nonlocal finished
        finished += 1
        if hear is not None:
            hear(mine[index][0], completion)
        tell(min(finished * resources.ranks.size, len(samples)), len(samples), "samples")

    def share(compute: Compute) -> list[Completion]:
        nonlocal finished
        finished = 0
        return generate(
            policy,
            [prompts[problem.task_id] for problem, _ in mine],
            [seed(problem.suite, problem.task_id, number) for problem, number in mine],
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            truncation=sampling.truncation,
            gate_bias=sampling.gate_bias,
            stop=[problem.stop for problem, _ in mine],
            led_by="\n" if policy.boundary.trailing else "",
            batch_size=compute.decode_batch,
            on_done=count,
            should_stop=resources.should_stop,
        )

    with resources.ledger.clock("sample"):
        drawn = resources.memory.run(share, fewer_sequences)
    resources.attend()
    completions = resources.ranks.gather(drawn)
    resources.ledger.costs.tokens_generated += sum(len(completion.ids) for completion in completions)
    return [completions[i : i + sampling.n] for i in range(0, len(completions), sampling.n)]


def judge(
    resources: Resources,
    sandbox: Callable[[], Sandbox],
    problems: Sequence[Problem],
    completions: Sequence[Sequence[Completion]],
    *,
    count: bool = False,
) -> list[list[Sample]]:
    """*Collective.* The samples that the ``completions`` of each problem are, by the verdicts of the first rank.

    Completions of a problem that say the same are judged once. With ``count`` their tests are run beyond the first that
    fails, and counted.
    """

    def results() -> list[list[Result]]:
        with Judging(sandbox(), count=count) as judging:
            return judging.results(problems, completions)

    with resources.ledger.clock("judge"):
        return _samples(problems, completions, resources.ranks.from_first(results))


def draw_and_judge(  # noqa: PLR0913 - what `draw` and `judge` take together
    resources: Resources,
    sandbox: Callable[[], Sandbox],
    policy: Policy,
    problems: Sequence[Problem],
    sampling: Sampling,
    seed: Callable[[str, str, int], int],
    tell: Callable[[int, int, str], None],
    *,
    count: bool = False,
    beside: bool | None = None,
) -> list[list[Sample]]:
    """*Collective.* As `draw` and `judge`, the sandbox at work ``beside`` the sampler.

    By default it is but where the policy is on a CPU: there both want the same cores, and the threads of a sampler,
    which wait for each other, lose more than the sandbox gains. What the first rank draws is judged at once, what
    others draw when all have ended. The seconds of judging are those that the sampler waited.
    """
    if beside is None:
        beside = policy.device.type != "cpu"
    if not (beside and resources.ranks.first):
        completions = draw(resources, policy, problems, sampling, seed, tell)
        return judge(resources, sandbox, problems, completions, count=count)
    with Judging(sandbox(), count=count) as judging:
        completions = draw(resources, policy, problems, sampling, seed, tell, judging.hand_in)
        with resources.ledger.clock("judge"):
            results = resources.ranks.from_first(lambda: judging.results(problems, completions))
    return _samples(problems, completions, results)


def _samples(
    problems: Sequence[Problem], completions: Sequence[Sequence[Completion]], results: Sequence[Sequence[Result]]
) -> list[list[Sample]]:
    return [
        [Sample(problem, number, *each) for number, each in enumerate(zip(group, of, strict=True))]
        for problem, group, of in zip(problems, completions, results, strict=True)
    ]


def warn_of_broken_tests(display: Display, samples: Sequence[Sample]) -> None:
    """Name each problem whose test is broken, once a run: its samples are neither rewarded nor counted."""
    for sample in samples:
        if sample.result.verdict == Verdict.TEST_ERROR:
            where = f"{sample.problem.suite} {sample.problem.task_id}"
            display.warn_once(
                "test_error", where, f"the test of {where} is broken: {sample.result.detail}; mend the suite"
            )


def sample_row(sample: Sample, position: int, phase: str, step: int) -> dict[str, Any]:
    """A judged sample as the store has it, as drawn for the update ``step`` or measured after it.

    ``position`` is that of the stage in its arm. The reward is whether it passed; there is no advantage.
    """
    completion, result = sample.completion, sample.result
    return {
        "step": step,
        "phase": phase,
        "position": position,
        "suite": sample.problem.suite,
        "task": sample.problem.task_id,
        "sample": sample.number,
        "text": completion.text,
        "tokens": len(completion.ids),
        "stop": str(completion.stop),
        "logprob": sum(completion.logprobs),
        "verdict": str(result.verdict),
        "reward": None if sample.masked else float(sample.passed),
        "cpu_s": result.cpu_s,
        "wall_s": result.wall_s,
        "peak_mb": result.peak_mb,
        "failed_test": result.failed_test,
        "tests": result.tests or None,
        "tests_passed": result.tests_passed if result.tests else None,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "backend": result.backend,
        "tricks": ",".join(result.tricks),
    }


def training_row(sample: Sample, position: int, step: int, temperature: float) -> dict[str, Any]:
    """As `sample_row`, of RLVR, with the tokens, drawn at ``temperature``, from which it can be trained on again."""
    return sample_row(sample, position, "rlvr", step) | _tokens_of(sample.completion, temperature)


def _tokens_of(completion: Completion, temperature: float) -> dict[str, Any]:
    """As the store keeps them: JSON, log-probabilities in as many digits as a float32 has."""
    digits = ", ".join(f"{logprob:.9g}" for logprob in completion.behaviour_logprobs)
    return {"temperature": temperature, "token_ids": json.dumps(completion.ids), "token_logprobs": f"[{digits}]"}


def record_problems(writer: Writer, suite: Suite) -> None:
    """Write a suite's prompts to the store, so that samples can be read beside them."""
    writer.problems([{"suite": p.suite, "task": p.task_id, "prompt": p.prompt} for p in suite.problems])
