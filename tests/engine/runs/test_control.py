"""What people ask of a run at work: taken between updates, recorded, and the same again in a resumed run."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.pipeline import execute
from engine.processes.ranks import Ranks
from engine.recipe.files import load_recipe
from engine.recipe.keys import RecipeError
from engine.recipe.recipe import Recipe
from engine.runs import control
from engine.runs.control import Control
from engine.runs.knobs import LIVE_KNOBS, knobs, parse_knob, present_recipe
from engine.runs.places import newest, saved
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.runs.stages.clock import Clock
from engine.store import writer as store_writer
from engine.store.reader import Reader
from engine.store.requests import request
from engine.store.writer import Writer
from tests.engine.engines import Script, begin, fingerprint, finish, records, start, status
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow

LONGER = {"updates = 2\ntraces = 1": "updates = 4\ntraces = 1", "updates = 2\nproblems": "updates = 4\nproblems"}
LONGER |= {"tokens = 300": "tokens = 600"}


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "POLL_SECONDS", 0.0)


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("smoke", ["ra3.penalty=0.05"]).for_arm("ra3")


@pytest.fixture
def writer(tmp_path: Path, recipe: Recipe) -> Iterator[Writer]:
    (run,) = plan(recipe, tmp_path).runs
    with Writer(tmp_path, run.id) as writer:
        yield writer


def controlled(writer: Writer) -> Control:
    return Control(writer, Silent(), lambda: False, Ranks(), Clock())


def events(home: Path, run: str, kind: str = "control") -> list[str]:
    with closing(Reader(home)) as reader:
        return [event["message"] for event in reader.events(run) if event["kind"] == kind]


class TestSet:
    def test_a_change_holds_from_the_update_it_was_taken_behind(
        self, tmp_path: Path, writer: Writer, recipe: Recipe
    ) -> None:
        request(tmp_path, writer.run, "set", "ada", "ra3.penalty", 0.2)
        assert controlled(writer).settle(recipe, 7).ra3.penalty == 0.2
        assert writer.requests() == []
        (change,) = writer.changes()
        assert (change["step"], change["key"], json.loads(change["value"])) == (7, "ra3.penalty", 0.2)
        assert events(tmp_path, writer.run) == ["ra3.penalty: 0.05 to 0.2, set by ada"]
        with closing(Reader(tmp_path)) as reader:
            assert present_recipe(reader, writer.run).ra3.penalty == 0.2

    def test_a_change_of_an_earlier_session_holds_where_it_did_then(
        self, tmp_path: Path, writer: Writer, recipe: Recipe
    ) -> None:
        request(tmp_path, writer.run, "set", "ada", "ra3.penalty", 0.2)
        controlled(writer).settle(recipe, 7)
        resumed = controlled(writer)
        assert resumed.settle(recipe, 6) == recipe
        assert resumed.settle(recipe, 7).ra3.penalty == 0.2

    def test_a_change_after_going_back_makes_a_later_one_void(
        self, tmp_path: Path, writer: Writer, recipe: Recipe
    ) -> None:
        request(tmp_path, writer.run, "set", "ada", "ra3.penalty", 0.2)
        controlled(writer).settle(recipe, 7)
        request(tmp_path, writer.run, "set", "ada", "ra3.penalty", 0.3)
        resumed = controlled(writer)
        changed = resumed.settle(recipe, 4)
        assert changed.ra3.penalty == 0.3
        assert resumed.settle(changed, 7).ra3.penalty == 0.3
        assert [(change["step"], change["value"]) for change in writer.changes()] == [(4, "0.3")]

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("ra3.penalty", -1, "greater than or equal to 0"),
            ("ra3.penalty", "much", "expected float"),
            ("ra3.gamma", 0.5, "cannot be changed while this run is at work"),
            ("ra3.penaltie", 0.5, "cannot be changed while this run is at work"),
            ("ra3.penalty", None, "wants JSON"),
        ],
    )
    def test_what_cannot_be_set_is_refused_with_a_warning_and_changes_nothing(
        self, key: str, value: Any, words: str, tmp_path: Path, writer: Writer, recipe: Recipe
    ) -> None:
        request(tmp_path, writer.run, "set", "ada", key, value)
        assert controlled(writer).settle(recipe, 1) == recipe
        (told,) = events(tmp_path, writer.run)
        assert words in told
        assert writer.requests() == writer.changes() == []


def test_an_action_that_is_unknown_is_refused_with_a_warning(tmp_path: Path, writer: Writer) -> None:
    request(tmp_path, writer.run, "dance", "ada")
    assert not controlled(writer).should_stop()
    assert events(tmp_path, writer.run) == ["ada asked for 'dance': unknown"]
    assert writer.requests() == []


class TestKnobs:
    def test_every_live_knob_is_a_key_of_the_recipe(self, recipe: Recipe) -> None:
        assert set(knobs(recipe)) == {key for key in LIVE_KNOBS if not key.startswith("ntp.")}

    def test_a_value_is_checked_like_an_override(self, recipe: Recipe) -> None:
        assert parse_knob(recipe, "ra3.penalty=0.2") == ("ra3.penalty", 0.2)
        for setting, words in {
            "ra3.penalty=-1": "greater than or equal to 0",
            "ra3.penaltie=1": "did you mean 'penalty'",
            "ra3.penalty": "expected key=value",
        }.items():
            with pytest.raises(RecipeError, match=words):
                parse_knob(recipe, setting)

    @pytest.mark.parametrize("setting", ["ra3.gamma=0.5", "ntp.optimiser.learning_rate=0.1"])
    def test_a_key_that_is_not_live_is_refused_naming_those_that_are(self, setting: str, recipe: Recipe) -> None:
        with pytest.raises(RecipeError, match=r"cannot be changed while this run is at work; those are ra3\.penalty, "):
            parse_knob(recipe, setting)

    def test_a_run_that_only_evaluates_has_none(self, recipe: Recipe) -> None:
        with pytest.raises(RecipeError, match="it has none"):
            parse_knob(load_recipe("smoke").for_arm("base"), "ra3.penalty=0.1")


RATES = {
    "ntp": "ntp.optimiser.learning_rate",
    "E-step": "ra3.estep.optimiser.learning_rate",
    "M-step": "ra3.mstep.optimiser.learning_rate",
    "rlvr": "rlvr.optimiser.learning_rate",
}


@pytest.mark.slow
@pytest.mark.parametrize("phase", RATES)
def test_a_learning_rate_changes_within_a_phase_from_the_next_update_on(phase: str, tmp_path: Path) -> None:
    stages = {"ntp": '"ntp"', "rlvr": '"rlvr"'}.get(phase, '"ra3"')
    recipe = small_recipe(tmp_path, **LONGER, **{'"ntp", "ra3", "eval", "rlvr", "eval"': stages})
    run = start(recipe, tmp_path)
    script = Script(tmp_path, run, {(phase, 1): ("set", RATES[phase], 5e-4)})
    execute(tmp_path, [run], script)
    with closing(Reader(tmp_path)) as reader:
        rates = dict(reader.series(run, "learning_rate"))
        first = next(p["first_step"] for p in reader.phases(run) if p["kind"] == phase.lower().replace("-", ""))
        (change,) = reader.changes(run)
    within = range(first + 1, first + 5)
    assert change["step"] == first + 2
    told = {step: rate for step, rate in rates.items() if step in within}
    assert set(told.values()) == {1e-3, 5e-4}
    assert told == {step: 5e-4 if step > first + 2 else 1e-3 for step in told}


@pytest.mark.slow
@pytest.mark.parametrize("every", [2, 100])
def test_a_killed_run_takes_a_changed_knob_from_the_same_step_on(every: int, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **LONGER, **{"every = 1": f"every = {every}"})
    asked: dict[tuple[str, int], tuple[Any, ...]] = {
        ("ntp", 1): ("set", "ntp.optimiser.learning_rate", 3e-4),
        ("E-step", 1): ("set", "ra3.penalty", 0.5),
        ("E-step", 2): ("set", "ra3.estep.temperature", 0.5),
    }
    whole = start(recipe, tmp_path)
    finish(tmp_path, whole, Script(tmp_path, whole, asked))
    killed = start(recipe, tmp_path)
    for kill, left in ((("ntp", 3), asked), (("E-step", 4), dict(list(asked.items())[1:]))):
        process = begin(tmp_path, killed, Script(tmp_path, killed, left, kill))
        process.join()
        assert process.exitcode == -signal.SIGKILL
    finish(tmp_path, killed)
    with closing(Reader(tmp_path)) as reader:
        assert [(c["step"], c["key"]) for c in reader.changes(killed)] == [
            (c["step"], c["key"]) for c in reader.changes(whole)
        ]
        assert {rate for _, rate in reader.series(whole, "learning_rate")} == {1e-3, 3e-4}
    assert records(tmp_path, killed) == records(tmp_path, whole)
    assert fingerprint(tmp_path, killed) == fingerprint(tmp_path, whole)


class WhilePaused(Script):
    """Does something while the run is paused."""

    def event(self, run: str, level: str, message: str) -> None:
        if message.startswith("paused"):
            self.paused()

    def paused(self) -> None:
        raise NotImplementedError


class LooksAndGoesOn(WhilePaused):
    def paused(self) -> None:
        with closing(Reader(self.home)) as reader:
            row = reader.run(self.run)
            assert row["status"] == "paused"
            beat = row["heartbeat"]
            while reader.run(self.run)["heartbeat"] == beat:
                pass
        request(self.home, self.run, "unpause", "somebody")


class Stops(WhilePaused):
    def paused(self) -> None:
        request(self.home, self.run, "stop", "somebody")


class Dies(WhilePaused):
    def paused(self) -> None:
        signal.raise_signal(signal.SIGKILL)


class AsksForMore(WhilePaused):
    def paused(self) -> None:
        request(self.home, self.run, "checkpoint", "somebody")
        request(self.home, self.run, "unpause", "somebody")


class TestPause:
    @pytest.fixture
    def recipe(self, tmp_path: Path) -> Recipe:
        return small_recipe(tmp_path, **LONGER, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp", "rlvr"'})

    @pytest.fixture
    def whole(self, tmp_path: Path, recipe: Recipe) -> str:
        run = start(recipe, tmp_path)
        execute(tmp_path, [run], Silent())
        return run

    def test_a_paused_run_shows_it_and_its_heart_beats_until_it_goes_on(
        self, tmp_path: Path, recipe: Recipe, whole: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = start(recipe, tmp_path)
        monkeypatch.setattr(store_writer, "HEARTBEAT_SECONDS", 0.01)
        (outcome,) = execute(tmp_path, [run], LooksAndGoesOn(tmp_path, run, {("ntp", 1): ("pause",)}))
        assert outcome.status == "done"
        assert events(tmp_path, run)[-1] == "goes on"
        assert records(tmp_path, run) == records(tmp_path, whole)
        assert fingerprint(tmp_path, run) == fingerprint(tmp_path, whole)

    def test_a_paused_run_can_be_stopped_and_resumed(self, tmp_path: Path, recipe: Recipe, whole: str) -> None:
        run = start(recipe, tmp_path)
        (outcome,) = execute(tmp_path, [run], Stops(tmp_path, run, {("ntp", 1): ("pause",)}))
        assert outcome.status == status(tmp_path, run) == "stopped"
        execute(tmp_path, [run], Silent())
        assert records(tmp_path, run) == records(tmp_path, whole)

    def test_a_paused_run_that_was_killed_is_lost_and_goes_on_when_resumed(
        self, tmp_path: Path, recipe: Recipe, whole: str
    ) -> None:
        run = start(recipe, tmp_path)
        process = begin(tmp_path, run, Dies(tmp_path, run, {("ntp", 1): ("pause",)}))
        process.join()
        assert status(tmp_path, run) == "lost"
        finish(tmp_path, run)
        assert records(tmp_path, run) == records(tmp_path, whole)
        assert fingerprint(tmp_path, run) == fingerprint(tmp_path, whole)

    def test_a_checkpoint_that_was_asked_for_is_written_while_paused_and_stays(
        self, tmp_path: Path, recipe: Recipe
    ) -> None:
        run = start(recipe, tmp_path)
        execute(tmp_path, [run], AsksForMore(tmp_path, run, {("ntp", 1): ("pause",)}))
        names = sorted(path.name for path in (tmp_path / run / "checkpoints").iterdir())
        assert "000002-ntp-asked" in names
        assert not [name for name in names if name.endswith("-partial")]


def test_a_checkpoint_before_the_first_update_of_a_stage_is_refused_with_a_warning(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp"'})
    run = start(recipe, tmp_path)
    request(tmp_path, run, "checkpoint", "somebody")
    execute(tmp_path, [run], Silent())
    assert "no checkpoint was written: this stage has taken no update yet" in events(tmp_path, run, "checkpoint")[0]
    found = newest(tmp_path / run / "checkpoints")
    assert found is not None
    assert found[1].ended


@pytest.mark.slow
def test_a_run_that_diverged_goes_on_from_its_last_sound_checkpoint_at_a_lower_rate(tmp_path: Path) -> None:
    stages = {'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp"', "tokens = 600": "tokens = 2000"}
    run = start(small_recipe(tmp_path, **stages), tmp_path)
    rate = "ntp.optimiser.learning_rate"
    (outcome,) = execute(tmp_path, [run], Script(tmp_path, run, {("ntp", 2): ("set", rate, 1e30)}))
    assert outcome.status == "failed"
    assert f"`ra3 set {run} KEY=VALUE`" in str(outcome.error)
    ((_, place),) = saved(tmp_path / run / "checkpoints")
    assert place.step == 3  # the rate took hold behind it: update 4 wrecked the weights, 5 to 9 were skipped
    assert "000004-ntp-partial removed: its weights gave no finite gradient" in events(tmp_path, run, "checkpoint")
    request(tmp_path, run, "set", "somebody", rate, 1e-3)
    (outcome,) = execute(tmp_path, [run], Silent())
    assert outcome.status == "done"
    with closing(Reader(tmp_path)) as reader:
        losses = [loss for _, loss in reader.series(run, "loss")]
    assert losses[-1] < losses[0]
