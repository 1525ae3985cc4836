"""Runs that begin from another run's checkpoint: the same bits where nothing was changed, and what cannot be."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, UsageFault
from engine.pipeline import execute
from engine.runs.fork import Origin, find_origin, forked_recipe, plan_fork
from engine.runs.inputs import recorded
from engine.runs.places import saved
from engine.runs.progress import Silent
from engine.store.reader import Reader
from engine.store.requests import request
from engine.store.writer import Writer
from tests.engine.engines import fingerprint, records, start
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow

TAKEN_OVER = ("metrics", "latest", "stages", "phases", "evals")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parent")


@pytest.fixture(scope="module")
def parent(home: Path) -> str:
    """A run of every stage that kept all its checkpoints."""
    recipe = small_recipe(home, **{"every = 1": "every = 1\nkeep = 100", "updates = 2\ntraces": "updates = 3\ntraces"})
    run = start(recipe, home)
    execute(home, [run], Silent())
    return run


def step_of(home: Path, run: str, kind: str, *, ended: bool) -> int:
    """Of the first checkpoint in, or at the end of, the stage ``kind``."""
    return next(p.step for _, p in saved(home / run / "checkpoints") if p.kind == kind and p.ended == ended)


def forked(home: Path, origin: Origin, *overrides: str) -> str:
    (planned,) = plan_fork(home, origin, forked_recipe(origin, overrides)).runs
    return planned.id


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "ended"), [("ntp", False), ("ra3", False), ("ra3", True), ("rlvr", False)])
def test_a_fork_with_nothing_changed_ends_as_its_parent_did(home: Path, parent: str, kind: str, ended: bool) -> None:
    step = step_of(home, parent, kind, ended=ended)
    run = forked(home, find_origin(home, f"{parent}@{step}"))
    (outcome,) = execute(home, [run], Silent())
    assert outcome.status == "done", outcome.error
    assert fingerprint(home, run) == fingerprint(home, parent)
    own, whole = records(home, run), records(home, parent)
    assert {name: own[name] for name in TAKEN_OVER} == {name: whole[name] for name in TAKEN_OVER}
    assert own["traces"] == [trace for trace in whole["traces"] if trace["step"] > step]
    with closing(Reader(home)) as reader:
        row = reader.run(run)
        assert (row["parent"], row["parent_step"]) == (parent, step)
        assert reader.events(run)[0]["message"].startswith(f"started from {parent}@{step}: ntp > ra3")


def test_a_fork_has_its_parents_records_until_it_begins_and_goes_its_own_way_from_there(
    home: Path, parent: str
) -> None:
    step = step_of(home, parent, "ra3", ended=False)
    run = forked(home, find_origin(home, f"{parent}@{step}"), "ra3.mstep.optimiser.learning_rate=0.01")
    inherited, whole = records(home, run)["metrics"], records(home, parent)["metrics"]
    assert inherited == {key: early for key, row in whole.items() if (early := [p for p in row if p[0] <= step])}
    execute(home, [run], Silent())
    rates = dict(records(home, run)["metrics"]["learning_rate"])
    assert {rate for at, rate in rates.items() if at <= step} == {1e-3}
    assert 0.01 in rates.values()
    assert fingerprint(home, run) != fingerprint(home, parent)


@pytest.mark.slow
def test_a_fork_lives_on_without_its_parents_checkpoints(home: Path, parent: str, tmp_path: Path) -> None:
    origin = find_origin(home, parent)
    copied = origin.checkpoint.parent / "900000-rlvr"
    shutil.copytree(origin.checkpoint, copied)
    run = forked(
        home,
        Origin(origin.parent, copied, origin.place, origin.recipe),
        'arms.all.stages=["ntp", "ra3", "eval", "rlvr", "rlvr"]',
    )
    shutil.rmtree(copied)
    (outcome,) = execute(home, [run], Silent())
    assert outcome.status == "done", outcome.error


def test_without_a_step_the_newest_checkpoint_is_meant(home: Path, parent: str) -> None:
    assert find_origin(home, parent).place == saved(home / parent / "checkpoints")[-1][1]


def test_a_step_without_a_checkpoint_is_told_with_those_there_are(home: Path, parent: str) -> None:
    with pytest.raises(UsageFault, match=r"no checkpoint at step 999; it has 1 \(in ntp\), .* \(end of ra3\).*keep"):
        find_origin(home, f"{parent}@999")


def test_a_run_that_wrote_no_checkpoint_cannot_be_forked(tmp_path: Path) -> None:
    run = start(small_recipe(tmp_path), tmp_path)
    with pytest.raises(UsageFault, match="has no checkpoint yet; it wrote none"):
        find_origin(tmp_path, run)


@pytest.fixture
def own_home(home: Path, parent: str, tmp_path: Path) -> Path:
    """A copy of the parent's home, whose files may be harmed."""
    del parent
    return shutil.copytree(home, tmp_path / "copied")


@pytest.mark.parametrize("asked_for", ["newest", "by its step"])
@pytest.mark.parametrize("harmed", ["model.safetensors", "place.json"])
def test_a_fork_of_a_damaged_checkpoint_begins_from_the_one_before_and_says_so(
    own_home: Path, parent: str, harmed: str, asked_for: str
) -> None:
    (_, place), (damaged, _) = saved(own_home / parent / "checkpoints")[-2:]
    step = saved(own_home / parent / "checkpoints")[-1][1].step
    (damaged / harmed).write_bytes((damaged / harmed).read_bytes()[:-9])
    origin = find_origin(own_home, parent if asked_for == "newest" else f"{parent}@{step}")
    assert origin.place == place
    longer = 'arms.all.stages=["ntp", "ra3", "eval", "rlvr", "eval", "eval"]'
    run = forked(own_home, origin, longer)
    with closing(Reader(own_home)) as reader:
        (event,) = reader.events(run)
    assert event["level"] == "warning"
    assert f"{damaged.name} of run {parent} is damaged: its {harmed}" in event["message"]
    assert f"begins from {origin.checkpoint.name}" in event["message"]
    assert damaged.is_dir()  # it is the parent's matter


def test_where_no_checkpoint_up_to_a_step_is_whole_a_fork_is_refused(own_home: Path, parent: str) -> None:
    for checkpoint, _ in saved(own_home / parent / "checkpoints"):
        (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UsageFault, match="none before it is whole") as caught:
        find_origin(own_home, f"{parent}@2")
    assert "\n" not in str(caught.value)


def test_a_fork_whose_own_checkpoint_is_damaged_does_not_begin_with_its_base_model(own_home: Path, parent: str) -> None:
    run = forked(own_home, find_origin(own_home, f"{parent}@{step_of(own_home, parent, 'ra3', ended=True)}"))
    for weights in (own_home / run / "checkpoints").glob("*/model.safetensors"):
        weights.unlink()
    with pytest.raises(EnvironmentFault, match=f"are gone or damaged; fork {parent}@"):
        execute(own_home, [run], Silent())


def test_a_run_whose_folder_is_gone_cannot_be_forked(own_home: Path, parent: str) -> None:
    shutil.rmtree(own_home / parent)
    with pytest.raises(UsageFault, match=r"its folder .* is gone"):
        find_origin(own_home, parent)


def test_a_fork_inside_a_stage_knows_what_that_had_read_and_one_at_its_end_may_read_anew(
    own_home: Path, parent: str
) -> None:
    inside = step_of(own_home, parent, "ra3", ended=False)
    at_end = step_of(own_home, parent, "ntp", ended=True)
    known = recorded(own_home / parent)
    runs = [forked(own_home, find_origin(own_home, f"{parent}@{step}")) for step in (inside, at_end)]
    corpus = {name: digest for name, digest in known.items() if name.startswith("corpus ")}
    assert [recorded(own_home / run) for run in runs] == [corpus, {}]
    assert len(corpus) == 1


INSIDE, AT_END = ("ra3", False), ("ra3", True)


@pytest.mark.parametrize(
    ("where", "override", "words"),
    [
        (AT_END, "model.id=other/model", "a fork has the weights of its checkpoint"),
        (AT_END, "ra3.penaltie=1", "did you mean 'penalty'"),
        (AT_END, "ra3.penalty=-1", "greater than or equal to 0"),
        (AT_END, 'arms.all.stages=["rlvr"]', "has begun with ntp > ra3"),
        (AT_END, 'arms.other.stages=["eval"]', "a fork has one arm, all"),
        (INSIDE, "corpus.kind=stdlib", "inside the stage ra3, which had planned with it"),
        (INSIDE, "seed=4", "inside the stage ra3"),
        (INSIDE, "ra3.estep.scorer=ema", "fork at the end of a stage, or change ra3.penalty"),
    ],
)
def test_what_a_fork_cannot_change_is_refused_in_one_line(
    home: Path, parent: str, where: tuple[str, bool], override: str, words: str
) -> None:
    origin = find_origin(home, f"{parent}@{step_of(home, parent, where[0], ended=where[1])}")
    with pytest.raises(UsageFault, match=re.escape(words)) as caught:
        forked_recipe(origin, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "override"),
    [
        (AT_END, "corpus.kind=stdlib"),
        (AT_END, "seed=4"),
        (AT_END, "ra3.estep.scorer=ema"),
        (AT_END, 'arms.all.stages=["ntp", "ra3", "eval"]'),
        (INSIDE, "ra3.penalty=0.5"),
        (INSIDE, "ra3.rounds=2"),
        (INSIDE, "rlvr.group_size=8"),
        (INSIDE, "compute.decode_batch=4"),
    ],
)
def test_what_a_fork_can_change_is_changed(home: Path, parent: str, where: tuple[str, bool], override: str) -> None:
    origin = find_origin(home, f"{parent}@{step_of(home, parent, where[0], ended=where[1])}")
    assert forked_recipe(origin, [override]) != origin.recipe


def test_a_run_with_nothing_left_to_do_needs_more_stages(home: Path, parent: str) -> None:
    origin = find_origin(home, parent)
    longer = 'arms.all.stages=["ntp", "ra3", "eval", "rlvr"]'
    with pytest.raises(UsageFault, match="give the fork more of them"):
        forked_recipe(origin, [longer])
    assert forked_recipe(origin, [longer.replace("]", ', "eval"]')]).arms["all"].stages[-1] == "eval"


@pytest.mark.parametrize(("taken", "penalty"), [(1, 0.3), (2, 0.05)])
def test_a_fork_begins_with_the_knobs_of_its_step(home: Path, parent: str, taken: int, penalty: float) -> None:
    with Writer(home, parent) as writer:
        request(home, parent, "set", "ada", "ra3.penalty", 0.3)
        (change,) = writer.requests()
        writer.take(change["id"], taken)
        origin = find_origin(home, f"{parent}@1")
        writer.void_changes("ra3.penalty", 0)
    assert origin.recipe.ra3.penalty == penalty
