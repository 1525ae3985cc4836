"""Another run's rollouts trained on again: the same samples, the same update, or another from them."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.decoding.sampler import Completion, StopReason
from engine.errors import UsageFault
from engine.methods.groups import SampleGroup, sample_tries
from engine.methods.rlvr import drifted, referred
from engine.methods.sampling import Sample, sample_row, training_row
from engine.methods.stored import check_tokens, record, stored_groups
from engine.pipeline import execute
from engine.processes.ranks import Ranks
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Compute, Rlvr
from engine.runs.progress import Silent
from engine.runs.rollouts import check_rollouts
from engine.store.reader import Reader
from engine.store.writer import Writer
from engine.suites.problem import Problem
from engine.training.memory import MemoryGuard
from sandbox import Check, Result, Verdict
from tests.engine.engines import fingerprint, records, start
from tests.engine.small import small_recipe
from tests.engine.toy import speaking_policy

PROBLEMS = {task: Problem("s", task, "ab", "f", None, (), Check("", "f")) for task in "tu"}


def sample(task: str, number: int, verdict: Verdict, ids: list[int], tests: tuple[int, int] = (0, 0)) -> Sample:
    behaviour = [-1 / 3 - i for i in range(len(ids))]
    completion = Completion(ids, "ab"[: len(ids)], behaviour, behaviour, StopReason.STOP, len(ids))
    return Sample(PROBLEMS[task], number, completion, Result(verdict, tests_passed=tests[0], tests=tests[1]))


def create(writer: Writer) -> None:
    writer.create_run(group="g", name="n", arm="a", status="done", seed=0, folder="", config="{}")


def add(writer: Writer, group: list[Sample], step: int, temperature: float | None = 0.7) -> None:
    """Rows of ``group``, without its tokens where there is no temperature."""
    for each in group:
        row = sample_row(each, 1, "rlvr", step) if temperature is None else training_row(each, 1, step, temperature)
        writer.add("samples", row)


DRAWN = {
    4: [
        [sample("t", 0, Verdict.PASSED, [2, 3]), sample("t", 1, Verdict.TIME_LIMIT, [2], (1, 4))],
        [sample("t", 0, Verdict.SANDBOX_ERROR, [3, 3])],
    ],
    5: [[sample("u", 0, Verdict.WRONG_ANSWER, [2, 3], (0, 3)), sample("u", 1, Verdict.PASSED, [2], (3, 3))]],
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a run ``old`` of two updates, behind three of another stage, and a third that was never finished."""
    with Writer(tmp_path, "old") as writer:
        create(writer)
        for step, groups in DRAWN.items():
            for group in groups:
                add(writer, group, step)
            writer.step = step
            writer.metrics({"rlvr/reward": 0.5})
        add(writer, DRAWN[4][0], 6)
    return tmp_path


def test_an_updates_samples_come_back_in_their_groups_as_they_were(home: Path) -> None:
    with Writer(home, "new") as writer:
        create(writer)
        for number, groups in enumerate(DRAWN.values(), 1):
            rows = writer.rollouts("old", number)
            found = [group.samples for group in stored_groups(rows, PROBLEMS)]
            assert {row["temperature"] for row in rows} == {0.7}
            assert [len(group) for group in found] == [len(group) for group in groups]
            for ours, theirs in zip(chain(*found), chain(*groups), strict=True):
                assert (ours.problem, ours.number) == (theirs.problem, theirs.number)
                assert ours.result.verdict == theirs.result.verdict
                assert (ours.completion.ids, ours.completion.text) == (theirs.completion.ids, theirs.completion.text)
                assert (ours.completion.stop, ours.fraction) == (theirs.completion.stop, theirs.fraction)
                as_drawn = np.float32(theirs.completion.behaviour_logprobs).tolist()
                assert ours.completion.behaviour_logprobs == as_drawn
        assert writer.rollouts("old", 4) == writer.rollouts("new", 1) == []


def test_they_are_written_again_as_they_were_but_for_what_they_earn(home: Path) -> None:
    with Writer(home, "new") as writer:
        create(writer)
        rows = writer.rollouts("old", 1)
        first, second = stored_groups(rows, PROBLEMS)
        record(writer, 0, 9, first, [0.5, 0.25], [1.5, -1.5])
        record(writer, 0, 9, second, [0.0], [0.0])
        writer.flush()
        again = writer.rollouts("new", 1)
    assert [(row["reward"], row["advantage"]) for row in again] == [(0.5, 1.5), (0.25, -1.5), (None, 0.0)]
    assert {(row["run"], row["step"], row["position"]) for row in again} == {("new", 9, 0)}
    changed = {"id", "run", "step", "position", "reward", "advantage"}
    for ours, theirs in zip(again, rows, strict=True):
        assert {k: v for k, v in ours.items() if k not in changed} == {
            k: v for k, v in theirs.items() if k not in changed
        }


def test_tokens_of_another_tokenizer_are_refused(home: Path) -> None:
    policy = speaking_policy(0)
    with Writer(home, "new") as writer:
        (group, *_) = stored_groups(writer.rollouts("old", 1), PROBLEMS)
    check_tokens(policy, group, "old")
    for ids in ([3, 2], [2, 99]):
        group.samples[0].completion.ids[:] = ids
        with pytest.raises(UsageFault, match="'old': its tokens are those of another tokenizer"):
            check_tokens(policy, group, "old")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rollouts": "none"}, "'none': no run of that id in"),
        ({"updates": 3}, "has samples of 2 finished updates; lower rlvr.updates = 3 to that"),
        ({"rollouts": "bare"}, "did not keep the tokens of its samples"),
        ({"rollouts": "uncounted", "reward": "fraction"}, "the tests of its update 1 were not counted"),
        ({"suite": "other"}, "drew on s u, which is not in rlvr.suite = 'other'"),
    ],
)
def test_rollouts_that_cannot_be_had_are_one_line(values: dict[str, Any], words: str, home: Path) -> None:
    for run, temperature in (("bare", None), ("uncounted", 1.0)):
        with Writer(home, run) as writer:
            create(writer)
            writer.step = 1
            add(writer, [sample("t", 0, Verdict.PASSED, [2])], 1, temperature)
            writer.metrics({"rlvr/reward": 1.0})
    settings = settings_of(rollouts="old", updates=1)
    check_rollouts(home, settings, list(PROBLEMS.values()))
    check_rollouts(home, settings_of(rollouts="old", updates=2, reward="fraction"), list(PROBLEMS.values()))
    problems = [PROBLEMS["t"]] if "suite" in values else list(PROBLEMS.values())
    with pytest.raises(UsageFault) as caught:
        check_rollouts(home, settings_of(**{"rollouts": "old", "updates": 1} | values), problems)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def settings_of(**values: Any) -> Rlvr:
    return Rlvr.model_validate(values)


@pytest.mark.parametrize(("by", "stale"), [(0.0, False), (5e-4, False), (2e-3, True), (-2e-3, True)])
def test_samples_are_stale_where_other_weights_drew_them(by: float, stale: bool) -> None:
    policy, guard = speaking_policy(0), MemoryGuard(Compute())
    drawn = sample("t", 0, Verdict.PASSED, [2, 3, 2])
    group = SampleGroup([drawn], np.array([True]), np.ones(1), np.ones(1))
    (trie,) = sample_tries(policy, group, 64)
    (now,) = referred([trie], policy, guard, Ranks(), 0.7)
    trie.targets.old[:] = now.targets.reference
    trie.targets.old[1] += by
    assert drifted([trie], policy, guard, Ranks(), 0.7) == stale
    assert drifted([trie], policy, guard, Ranks(), 1.0)


TEACHING = {"rlvr.updates": 3, "rlvr.group_size": 8, "rlvr.max_resamples": 4, "rlvr.epochs": 2}


@pytest.fixture(scope="module")
def drew(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, str]:
    """A run that drew its own samples, and learnt from them."""
    home = tmp_path_factory.mktemp("stored")
    recipe = small_recipe(home, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"rlvr"'}).with_values(TEACHING)
    run = start(recipe, home)
    (outcome,) = execute(home, [run], Silent())
    assert outcome.status == "done", outcome.error
    return recipe, home, run


def again(drew: tuple[Recipe, Path, str], **values: Any) -> tuple[Path, str]:
    recipe, home, before = drew
    changed = {"rlvr.rollouts": before} | {key.replace("__", "."): value for key, value in values.items()}
    run = start(recipe.with_values(changed), home)
    (outcome,) = execute(home, [run], Silent())
    assert outcome.status == "done", outcome.error
    return home, run


@pytest.mark.medium
def test_the_same_updates_from_another_runs_samples_give_the_same_weights(drew: tuple[Recipe, Path, str]) -> None:
    """Whatever the settings say of drawing: they are those of the run that drew."""
    _, home, before = drew
    _, run = again(drew, rlvr__temperature=0.3, rlvr__group_size=2)
    assert fingerprint(home, run) == fingerprint(home, before)
    ours, theirs = records(home, run), records(home, before)
    assert ours["samples"] == theirs["samples"]
    assert ours["metrics"]["rlvr/reward"] == theirs["metrics"]["rlvr/reward"]
    assert ours["metrics"]["cost/tokens_generated"][-1][1] == 0 < theirs["metrics"]["cost/tokens_generated"][-1][1]


@pytest.mark.medium
def test_another_update_from_the_same_samples_is_clipped_once_weights_differ(
    drew: tuple[Recipe, Path, str],
) -> None:
    _, home, before = drew
    _, run = again(drew, rlvr__epochs=1, rlvr__clip_low=1e-6, rlvr__clip_high=1e-6, rlvr__normalise="none")
    ours, theirs = records(home, run), records(home, before)
    assert fingerprint(home, run) != fingerprint(home, before)
    assert [row["text"] for row in ours["samples"]] == [row["text"] for row in theirs["samples"]]
    assert [row["advantage"] for row in ours["samples"]] != [row["advantage"] for row in theirs["samples"]]
    (_, first), *later = ours["metrics"]["clip_fraction"]
    assert first == 0 < max(value for _, value in later)


def test_a_launch_whose_rollouts_are_not_there_is_refused_before_it_begins(drew: tuple[Recipe, Path, str]) -> None:
    recipe, home, _ = drew
    run = start(recipe.with_values({"rlvr.rollouts": "nobody"}), home)
    with pytest.raises(UsageFault, match="no run of that id"):
        execute(home, [run], Silent())
    with closing(Reader(home)) as reader:
        assert reader.run(run)["status"] == "failed"
