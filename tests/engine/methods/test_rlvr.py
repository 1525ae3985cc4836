"""GRPO's advantages by hand, and which samples count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.decoding.sampler import Completion, StopReason, generate
from engine.methods import batches
from engine.methods.curriculum import Measured
from engine.methods.groups import (
    SampleGroup,
    equal_samples,
    form_group,
    group_advantages,
    measure,
    measure_by_difficulty,
    sample_tries,
)
from engine.methods.rlvr import measure_moves, referred
from engine.methods.sampling import Sample, warn_of_broken_tests
from engine.processes.ranks import Ranks
from engine.recipe.sections import Compute, Rlvr
from engine.runs.display import Display
from engine.training.memory import MemoryGuard
from engine.training.scoring import score
from engine.training.trainer import Update
from sandbox import Result, Verdict
from tests.engine.tiny import tiny_policy

ALL = np.ones(4, dtype=bool)


def test_advantages_are_rewards_in_standard_deviations_of_their_group() -> None:
    found = group_advantages(np.array([1.0, 0.0, 0.0, 1.0]), ALL, "group")
    assert found.tolist() == [1, -1, -1, 1]
    assert group_advantages(np.array([1.0, 0.0, 0.0, 0.0]), ALL, "group").tolist() == pytest.approx(
        [3**0.5, *[-(3**-0.5)] * 3]
    )


def test_without_normalisation_they_are_rewards_less_the_mean() -> None:
    assert group_advantages(np.array([1.0, 0.0, 0.0, 0.0]), ALL, "none").tolist() == [0.75, -0.25, -0.25, -0.25]


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_group_of_equal_rewards_teaches_nothing(reward: float) -> None:
    assert not group_advantages(np.full(4, reward), ALL, "group").any()


def test_a_sample_that_does_not_count_is_in_neither_mean_nor_loss() -> None:
    kept = np.array([True, True, False, True])
    found = group_advantages(np.array([1.0, 0.0, 1.0, 0.0]), kept, "none")
    assert found.tolist() == pytest.approx([2 / 3, -1 / 3, 0, -1 / 3])


def test_one_sample_that_counts_has_nothing_to_be_compared_with() -> None:
    assert not group_advantages(np.array([1.0, 0.0, 0.0, 0.0]), np.array([True, False, False, False]), "group").any()


def sample(passed: float, length: int = 1, stop: StopReason = StopReason.EOS, *, masked: bool = False) -> Sample:
    completion = Completion([5] * length, "", [-1.0] * length, [-0.5] * length, stop, 1)
    verdict = Verdict.SANDBOX_ERROR if masked else Verdict.PASSED if passed else Verdict.WRONG_ANSWER
    problem: Any = SimpleNamespace(prompt="x", task_id="t", suite="s")
    return Sample(problem, 0, completion, Result(verdict))


def judged(passed: int, tests: int = 4) -> Sample:
    """A sample that passed so many of its tests."""
    verdict = Verdict.PASSED if passed == tests else Verdict.WRONG_ANSWER
    return replace(sample(1), result=Result(verdict, tests=tests, tests_passed=passed))


@pytest.mark.parametrize(
    ("reward", "earned"),
    [("pass", [0, 0, 0, 1]), ("fraction", [0, 0.25, 0.75, 1]), ("weighted", [0, 0.025, 0.075, 1.1])],
)
def test_partial_credit_is_by_the_share_of_tests_passed(reward: str, earned: list[float]) -> None:
    settings = Rlvr.model_validate({"reward": reward, "normalise": "none"})
    group = form_group([judged(n) for n in (0, 1, 3, 4)], settings)
    assert group.rewards.tolist() == pytest.approx(earned)
    assert group.advantages.tolist() == pytest.approx([each - sum(earned) / 4 for each in earned])
    told = measure([group])
    assert (told["rlvr/reward"], told["rlvr/pass_rate"]) == (pytest.approx(sum(earned) / 4), 1 / 4)


def test_where_tests_were_not_counted_a_pass_is_all_and_anything_else_nothing() -> None:
    settings = Rlvr(reward="fraction")
    uncounted = [replace(sample(1), result=Result(verdict)) for verdict in (Verdict.PASSED, Verdict.TIME_LIMIT)]
    assert form_group(uncounted, settings).rewards.tolist() == [1, 0]


@pytest.mark.parametrize(("update", "earned"), [(1, 0.75), (2, 0.75), (3, 0.0)])
def test_partial_credit_ends_behind_its_updates(update: int, earned: float) -> None:
    settings = Rlvr(reward="fraction", partial_updates=2)
    assert form_group([judged(3)], settings, update).rewards.tolist() == [earned]
    assert settings.gives_partial_credit(update) == (earned > 0)
    assert form_group([judged(3)], Rlvr(reward="fraction"), 1000).rewards.tolist() == [0.75]
    assert not Rlvr().gives_partial_credit(1)


@pytest.mark.parametrize("verdict", [Verdict.SANDBOX_ERROR, Verdict.TEST_ERROR])
def test_what_is_no_fault_of_a_sample_is_no_part_of_its_group(verdict: Verdict) -> None:
    masked = replace(sample(1), result=Result(verdict, tests=4, tests_passed=2))
    group = form_group([masked, judged(4), judged(0)], Rlvr(reward="fraction"))
    assert group.kept.tolist() == [False, True, True]
    assert group.advantages.tolist() == [0, 1, -1]


def test_over_the_mean_a_pass_counts_more_the_rarer_it_is() -> None:
    rare, often = ([1.0] * n + [0.0] * (4 - n) for n in (1, 3))
    assert group_advantages(np.array(rare), ALL, "mean").tolist() == [3, -1, -1, -1]
    assert group_advantages(np.array(often), ALL, "mean").tolist() == pytest.approx([1 / 3] * 3 + [-1])


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.5])
def test_over_the_mean_a_group_of_equal_rewards_teaches_nothing(reward: float) -> None:
    assert group_advantages(np.full(4, reward), ALL, "mean").tolist() == [0] * 4


def test_the_mean_is_that_of_the_samples_that_count() -> None:
    kept = np.array([True, True, False, True])
    found = group_advantages(np.array([1.0, 0.0, 1.0, 0.0]), kept, "mean")
    assert found.tolist() == pytest.approx([2, -1, 0, -1])


def test_records_are_of_every_sample_drawn_whether_its_group_teaches_or_not() -> None:
    settings = Rlvr(filter_overlong=False)
    drawn = [[1, 1], [0, 0], [1, 0]]
    groups = [form_group([sample(x, length=2 + 2 * x) for x in rewards], settings) for rewards in drawn]
    told = measure(groups)
    assert told["rlvr/reward"] == 3 / 6
    assert told["rlvr/solved"] == 2 / 3
    assert told["rlvr/teaching_groups"] == 1 / 3
    assert told["rlvr/length"] == 3
    assert told["rlvr/overlong"] == told["rlvr/masked"] == 0


def test_a_sandbox_error_says_nothing_of_the_reward_and_is_told() -> None:
    groups = [form_group([sample(1), sample(0, masked=True), sample(0, stop=StopReason.LENGTH)], Rlvr())]
    told = measure(groups)
    assert (told["rlvr/reward"], told["rlvr/masked"], told["rlvr/overlong"]) == (1 / 2, 1 / 3, 1 / 3)


def test_a_broken_test_is_masked_and_named_once_a_problem() -> None:
    warned: list[str] = []
    writer = SimpleNamespace(event=lambda kind, message, level: warned.append(message), run="run")
    display = Display("arm", cast(Any, writer), cast(Any, SimpleNamespace(event=lambda *_: None)), cast(Any, None))
    broken = replace(sample(0), result=Result(Verdict.TEST_ERROR, detail="no check"))
    assert broken.masked
    for _ in range(2):
        warn_of_broken_tests(display, [broken, broken, sample(1)])
    assert len(warned) == 1
    assert broken.problem.task_id in warned[0]
    assert "no check" in warned[0]


@pytest.mark.parametrize(("staleness", "written"), [(0, [0, 2]), (1, [0, 0])])
def test_a_group_that_trains_at_once_is_written_before_the_next_is_drawn(
    monkeypatch: pytest.MonkeyPatch, staleness: int, written: list[int]
) -> None:
    rows: list[Any] = []
    before_each: list[int] = []

    def draw_and_judge(*_: Any, **__: Any) -> Iterator[list[Sample]]:
        for rewards in ([1, 0], [0, 1]):
            before_each.append(len(rows))
            yield [sample(reward) for reward in rewards]

    monkeypatch.setattr(batches, "draw_and_judge", draw_and_judge)
    context = drawing_context(Rlvr(problems_per_update=2, group_size=2))
    context.writer = SimpleNamespace(add=lambda _, row: rows.append(row))
    problems: Any = [SimpleNamespace(task_id=str(i)) for i in range(5)]
    batch = batches.draw_batch(context, problems, 1, {}, staleness=staleness)
    assert before_each == written
    assert [row["step"] for row in rows] == [5] * 4 * (1 - staleness)
    assert len(batch.groups) == len(batch.written) == 2


def drawing_context(settings: Rlvr) -> Any:
    """As much of a context as drawing uses, at step 4."""
    return SimpleNamespace(
        recipe=SimpleNamespace(rlvr=settings),
        seeds=lambda *labels: 1,
        resources=None,
        policy=None,
        display=SimpleNamespace(tell=None, event=lambda *_: None),
        sandbox=None,
        position=0,
        step=4,
    )


def draws(monkeypatch: pytest.MonkeyPatch, rewards: list[list[list[float]]], max_resamples: int) -> list[SampleGroup]:
    """The groups of an update whose attempts give these rewards, a list a group."""
    left = iter(rewards)
    settings = Rlvr(problems_per_update=2, group_size=2, max_resamples=max_resamples)
    context = drawing_context(settings)
    monkeypatch.setattr(
        batches, "draw_and_judge", lambda *_, **__: [[sample(reward) for reward in g] for g in next(left)]
    )
    problems: Any = [SimpleNamespace(task_id=str(i)) for i in range(5)]
    return list(batches.draw_groups(context, problems, 1, {}))


def test_groups_that_were_replaced_are_among_those_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = draws(monkeypatch, [[[1, 1], [1, 0]], [[0, 0]], [[0, 1]]], max_resamples=5)
    assert [group.teaches for group in groups] == [False, True, False, True]
    assert measure(groups)["rlvr/reward"] == 4 / 8


def test_replacing_ends_after_max_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = draws(monkeypatch, [[[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 0], [1, 0]]], max_resamples=1)
    assert [group.teaches for group in groups] == [False] * 4


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_samples_old_logprob_is_that_under_which_it_was_drawn(temperature: float) -> None:
    """And the trainer's log-probability at that temperature is the same, so the first pass weighs by 1."""
    policy, text = tiny_policy(), "def f(a, b):\n    return"
    ids = [*policy.bos, *policy.encode(text)]
    (completion,) = generate(policy, [ids], [3], max_new_tokens=6, temperature=temperature)
    problem: Any = SimpleNamespace(prompt=text)
    drawn = Sample(problem, 0, completion, SimpleNamespace(verdict=Verdict.PASSED))  # type: ignore[arg-type]
    group = SampleGroup([drawn], np.array([True]), np.array([1.0]), np.array([0.7]))
    (trie,) = sample_tries(policy, group, 512)
    assert trie.targets.coefficients.tolist() == pytest.approx([0.7] * 6)
    np.testing.assert_allclose(trie.targets.old, completion.behaviour_logprobs, rtol=1e-6)
    (plain,) = score(policy, [trie], Compute())
    np.testing.assert_allclose(plain, completion.logprobs, rtol=1e-4)
    assert np.allclose(plain, trie.targets.old, rtol=1e-4) == (temperature == 1.0)


def of_length(length: int, passed: float = 1) -> Sample:
    return sample(passed, length)


def test_samples_count_the_same_however_long_where_the_objective_is_of_samples() -> None:
    """Lengths 1, 3 and 2, 6, whose mean is 3, beside a sample that does not count."""
    kept = np.array([True, True, False])
    groups = [
        SampleGroup([of_length(1), of_length(3), of_length(50)], kept, np.zeros(3), np.array([1.0, -1.0, 0.0])),
        SampleGroup([of_length(2), of_length(6)], ALL[:2], np.zeros(2), np.array([0.5, -0.5])),
    ]
    first, second = (group.advantages.tolist() for group in equal_samples(groups))
    assert first == pytest.approx([3 / 1, -3 / 3, 0])
    assert second == pytest.approx([0.5 * 3 / 2, -0.5 * 3 / 6])
    assert (1 * first[0] + 3 * first[1] + 2 * second[0] + 6 * second[1]) / 12 == pytest.approx(0.0)
    assert equal_samples([]) == []


def test_targets_are_referred_to_the_start_at_the_temperature_of_the_samples() -> None:
    policy, text = tiny_policy(), "def f(a, b):\n    return"
    ids = [*policy.bos, *policy.encode(text)]
    problem: Any = SimpleNamespace(prompt=text)
    tries = []
    for seed in (3, 4, 5):
        (completion,) = generate(policy, [ids], [seed], max_new_tokens=4, temperature=0.5)
        drawn = Sample(problem, 0, completion, SimpleNamespace(verdict=Verdict.PASSED))  # type: ignore[arg-type]
        group = SampleGroup([drawn], np.array([True]), np.array([1.0]), np.array([1.0]))
        tries += sample_tries(policy, group, 512)
    found = referred(tries, policy, MemoryGuard(Compute()), Ranks(), 0.5)
    for trie in found:
        np.testing.assert_allclose(trie.targets.reference, trie.targets.old, rtol=1e-4)
    other = referred(tries, policy, MemoryGuard(Compute()), Ranks(), 1.0)
    assert not np.allclose(other[0].targets.reference, found[0].targets.reference, rtol=1e-3)


def test_how_far_the_policy_went_is_told_of_the_last_pass() -> None:
    first, last = (
        Update(loss, 1.0, 0.1, {}, 0.0, 8, ratio, 0.2, kl) for loss, ratio, kl in ((1, 1, 0.1), (3, 1.5, 0.4))
    )
    told = measure_moves([first, last])
    assert told == {"rlvr/loss": 2, "rlvr/ratio": 1.5, "rlvr/kl_sampler": 0.2, "rlvr/kl_start": 0.4}
    assert "rlvr/kl_start" not in measure_moves([replace(last, kl_reference=float("nan"))])
    assert measure_moves([]) == {}


def test_the_entropy_is_that_of_every_token_drawn() -> None:
    told = measure([form_group([sample(1, length=3), sample(0)], Rlvr())])
    assert told["rlvr/entropy"] == 0.5


def of_task(task: str, *passed: float) -> SampleGroup:
    problem: Any = SimpleNamespace(prompt="x", task_id=task, suite="s")
    return form_group([replace(sample(x), problem=problem) for x in passed], Rlvr(filter_overlong=False))


def test_rewards_are_told_by_how_hard_a_problem_was_before() -> None:
    known = {"a": Measured(0.1, 0), "b": Measured(0.2, 1), "c": Measured(0.9, 0)}
    masked = form_group([sample(0, masked=True)] * 2, Rlvr())
    told = measure_by_difficulty([of_task("a", 1, 0), of_task("b", 0, 0), of_task("c", 1, 1), masked], known)
    assert told == {"rlvr/reward_hard": 0.25, "rlvr/reward_easy": 1.0}
    assert measure_by_difficulty([of_task("d", 1, 0)], known) == {"rlvr/reward_new": 0.5}


def test_what_counts_for_a_problems_pass_rate_are_the_samples_that_count() -> None:
    group = form_group([sample(1), sample(0, masked=True), sample(0, stop=StopReason.LENGTH), sample(0)], Rlvr())
    assert group.passed == [True, False]


@pytest.mark.parametrize("curriculum", ["uniform", "pass_rate"])
def test_settled_problems_are_drawn_less_where_that_is_asked(curriculum: str) -> None:
    problems: Any = [SimpleNamespace(task_id=str(i)) for i in range(4)]
    rates = {"0": Measured(0.0, 9), "1": Measured(1.0, 9), "2": Measured(0.5, 0)}
    settings = Rlvr.model_validate({"curriculum": curriculum})
    context: Any = SimpleNamespace(recipe=SimpleNamespace(rlvr=settings), seeds=lambda _, number: number)
    first = [next(batches.problem_order(context, problems, number, rates)) for number in range(400)]
    share = sum(index < 2 for index in first) / 400
    assert share == pytest.approx({"uniform": 0.5, "pass_rate": 0.25 / 2.25}[curriculum], abs=0.06)
