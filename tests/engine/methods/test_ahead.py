"""Samples drawn an update ahead: by which weights, weighed by which ratio, and the same however that is computed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import EnvironmentFault
from engine.methods import ahead, rlvr, sampling
from engine.model.encoding import encode_prompt
from engine.model.policy import Policy, load_policy
from engine.model.tries import TrieBuilder
from engine.pipeline import execute
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Compute
from engine.runs import control
from engine.runs.places import saved
from engine.runs.progress import Listener, Silent
from engine.store.reader import Reader
from engine.training.scoring import score
from tests.engine.engines import Script, fingerprint, records, start
from tests.engine.small import small_recipe

pytestmark = pytest.mark.medium

ONLY = {'"ntp", "ra3", "eval", "rlvr", "eval"': '"rlvr"'}
SETTINGS = {
    "rlvr.ahead": 1,
    "rlvr.updates": 4,
    "rlvr.group_size": 16,
    "rlvr.max_resamples": 9,
    "rlvr.max_new_tokens": 1,
    "rlvr.temperature": 0.9,
    "rlvr.clip_low": 1e-3,
    "rlvr.clip_high": 2e-3,
    "checkpoints.keep": 9,
}


class Run(NamedTuple):
    """One that is done, with the weights behind each of its updates."""

    home: Path
    id: str
    recipe: Recipe

    def policy(self, step: int) -> Policy:
        """That behind update ``step``, 0 being the one it began with."""
        if step == 0:
            return load_policy(self.recipe.model.id)
        (folder, *_) = [path for path, place in saved(self.home / self.id / "checkpoints") if place.step == step]
        return load_policy(str(folder))

    def samples(self, update: int) -> list[dict[str, Any]]:
        """Those that trained in ``update``, in their order."""
        return [row for row in records(self.home, self.id)["samples"] if row["step"] == update]

    def metric(self, key: str) -> list[float]:
        """Its values, of all updates."""
        with closing(Reader(self.home)) as reader:
            return [value for _, value in reader.series(self.id, key)]


def done(home: Path, listener: Listener | None = None, **values: Any) -> Run:
    """A run of RLVR that drew ahead, but for what ``values`` say."""
    home.mkdir(exist_ok=True)
    changed = {key.replace("__", "."): value for key, value in values.items()}
    recipe = small_recipe(home, **ONLY).with_values(SETTINGS | changed)
    run = start(recipe, home)
    if isinstance(listener, Script):
        listener.run = run
    (outcome,) = execute(home, [run], listener or Silent())
    assert outcome.status == "done", outcome.error
    return Run(home, run, recipe)


@pytest.fixture(scope="module")
def drew(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return done(tmp_path_factory.mktemp("ahead") / "home")


def prompts(run: Run) -> dict[str, str]:
    lines = (run.home / "problems.jsonl").read_text().splitlines()
    return {row["task_id"]: row["prompt"] for row in map(json.loads, lines)}


def old_and_new(run: Run, update: int, drawn_behind: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of the tokens of an update's groups that teach: recorded, by the weights behind a step, and their advantages."""
    policy, texts = run.policy(drawn_behind), prompts(run)
    old, tries, advantages = list[float](), [], list[float]()
    for row in teaching(run.samples(update)):
        trie, ids = TrieBuilder(), json.loads(row["token_ids"])
        events, _ = trie.chain(ids, trie.add(encode_prompt(policy, texts[row["task"]]))[-1])
        trie.ask(events, "completion")
        tries.append(trie.build())
        old += json.loads(row["token_logprobs"])
        advantages += [row["advantage"]] * len(ids)
    (temperature,) = {row["temperature"] for row in run.samples(update)}
    new = np.concatenate(score(policy, tries, Compute(), temperature))
    return np.array(old), new, np.array(advantages)


def teaching(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    begins = [i for i, row in enumerate(rows) if row["sample"] == 0]
    for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True):
        if any(row["advantage"] for row in rows[begin:end]):
            yield from rows[begin:end]


def test_an_updates_samples_are_drawn_with_the_weights_from_before_the_update_before(drew: Run) -> None:
    """Those of the first two updates by what the stage began with."""
    for update, behind in ((1, 0), (2, 0), (3, 1), (4, 2)):
        old, new, _ = old_and_new(drew, update, behind)
        np.testing.assert_allclose(old, new, atol=1e-4)
    for update in (2, 3, 4):
        old, newest, _ = old_and_new(drew, update, update - 1)
        assert np.abs(old - newest).max() > 1e-3
    assert drew.metric("rlvr/staleness") == [0, 1, 1, 1]


def test_without_it_they_are_drawn_with_the_newest_and_their_first_pass_is_not_clipped(tmp_path: Path) -> None:
    run = done(tmp_path / "home", rlvr__ahead=0)
    for update in (1, 2, 3, 4):
        old, new, _ = old_and_new(run, update, update - 1)
        np.testing.assert_allclose(old, new, atol=1e-4)
    assert run.metric("clip_fraction") == [0] * 4
    assert run.metric("rlvr/ratio") == pytest.approx([1] * 4, abs=1e-5)
    assert run.metric("rlvr/staleness") == []


def test_the_ratio_is_that_of_the_weights_that_train_to_those_that_drew_and_is_clipped(drew: Run) -> None:
    ratios, losses, clipped = (drew.metric(key) for key in ("rlvr/ratio", "rlvr/loss", "clip_fraction"))
    for update in (2, 3, 4):
        old, new, advantages = old_and_new(drew, update, update - 1)
        ratio = np.exp(new - old)
        assert np.abs(ratio - 1).max() > 1e-3
        assert ratios[update - 1] == pytest.approx(ratio.mean(), abs=1e-5)
        bounded = ratio.clip(1 - 1e-3, 1 + 2e-3)
        assert losses[update - 1] == pytest.approx(
            -np.minimum(ratio * advantages, bounded * advantages).mean(), abs=1e-5
        )
        assert clipped[update - 1] == pytest.approx((ratio * advantages > bounded * advantages).mean(), abs=0.05)
    assert clipped[0] == 0 < max(clipped)


def test_samples_drawn_before_the_temperature_was_changed_are_trained_at_that_at_which_they_were_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
    asks = Script(tmp_path / "home", "", {("rlvr", 1): ("set", "rlvr.temperature", 0.5)})
    run = done(tmp_path / "home", asks)  # asked for behind update 1, taken behind update 2, where 3 is drawn already
    assert [run.samples(update)[0]["temperature"] for update in (1, 2, 3, 4)] == [0.9, 0.9, 0.9, 0.5]
    for update in (3, 4):
        old, new, _ = old_and_new(run, update, update - 1)
        assert run.metric("rlvr/ratio")[update - 1] == pytest.approx(np.exp(new - old).mean(), abs=1e-5)


def test_another_runs_samples_are_clipped_as_they_were_in_a_run_that_drew_ahead(tmp_path: Path) -> None:
    """Also where weights differ by less than kernels round."""
    slow = {"rlvr__optimiser__learning_rate": 1e-6, "rlvr__clip_low": 1e-7, "rlvr__clip_high": 1e-7}
    first = done(tmp_path / "home", **slow)
    again = done(tmp_path / "home", rlvr__rollouts=first.id, **slow)
    assert max(first.metric("clip_fraction")) > 0
    assert again.metric("clip_fraction") == first.metric("clip_fraction")
    assert fingerprint(again.home, again.id) == fingerprint(first.home, first.id)
    assert again.metric("rlvr/staleness") == []


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Has runs draw beside training on any device; which threads drew, and whether all that they were asked for."""
    drawn: list[tuple[str, bool]] = []
    generate = sampling.generate

    def noted(policy: Policy, prompts: Any, *args: Any, **named: Any) -> Any:
        completions = generate(policy, prompts, *args, **named)
        drawn.append((threading.current_thread().name, len(completions) == len(prompts)))
        return completions

    monkeypatch.setattr(sampling, "generate", noted)
    monkeypatch.setattr(Recipe, "draws_beside_training", lambda recipe, _: bool(recipe.rlvr.ahead))
    return drawn


def ahead_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_drawn_beside_training_they_are_the_same_to_the_bit(
    drew: Run, beside: list[tuple[str, bool]], tmp_path: Path
) -> None:
    run = done(tmp_path / "home")
    assert set(beside) == {("MainThread", True), ("ahead_0", True)}
    assert fingerprint(run.home, run.id) == fingerprint(drew.home, drew.id)
    assert records(run.home, run.id) == records(drew.home, drew.id)
    assert not ahead_threads()


def test_what_the_drawing_meets_is_met_by_the_run(
    beside: list[tuple[str, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise EnvironmentFault("no sandbox")

    monkeypatch.setattr(ahead, "draw_batch", fails)
    with pytest.raises(EnvironmentFault, match="no sandbox"):
        done(tmp_path / "home")
    assert not ahead_threads()


def test_where_training_fails_what_is_being_drawn_is_left(
    beside: list[tuple[str, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise EnvironmentFault("no memory")

    monkeypatch.setattr(rlvr, "_improve", fails)
    with pytest.raises(EnvironmentFault, match="no memory"):
        done(tmp_path / "home", rlvr__max_new_tokens=60, rlvr__group_size=2, rlvr__max_resamples=0)
    assert beside == [("MainThread", True), ("ahead_0", False)]
    assert not ahead_threads()


@pytest.mark.parametrize(
    ("device", "values", "beside"),
    [
        ("cuda", {}, True),
        ("cuda", {"rlvr.ahead": 0}, False),
        ("cuda", {"rlvr.rollouts": "run"}, False),
        ("cuda", {"lora.rank": 4}, False),
        ("cuda", {"compute.processes": 2}, False),
        ("cpu", {}, False),
        ("mps", {}, False),
    ],
)
def test_they_are_drawn_beside_training_on_one_gpu_alone(
    device: str, values: dict[str, Any], beside: bool, tmp_path: Path
) -> None:
    recipe = small_recipe(tmp_path, **ONLY).with_values(SETTINGS | values)
    assert recipe.draws_beside_training(device) == beside
