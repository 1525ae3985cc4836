"""What a person asks of runs from a shell: the request that is written, or why none is."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.recipe.files import load_recipe
from engine.runs.fork import find_origin, forked_recipe, plan_fork
from engine.runs.planning import Plan, plan
from engine.store.reader import Reader
from engine.store.writer import Writer
from ra3tui.cli import app
from ra3tui.cli.exit import Exit


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RA3_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def planned(home: Path) -> Plan:
    """Three queued arms: base, ntp, ra3."""
    return plan(load_recipe("smoke", ["ra3.penalty=0.05"]), home)


@pytest.fixture
def run(planned: Plan) -> str:
    return planned.runs[2].id


def ra3(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def requests(home: Path, run: str) -> list[tuple[Any, ...]]:
    with Writer(home, run) as writer:
        return [(row["action"], row["key"], row["value"]) for row in writer.requests()]


@pytest.mark.parametrize("action", ["stop", "pause", "unpause", "checkpoint"])
def test_a_run_that_lives_is_asked(action: str, home: Path, run: str) -> None:
    result = ra3(action, run)
    assert result.exit_code == Exit.DONE
    assert f"{run} ra3: asked to" in result.stderr
    assert requests(home, run) == [(action, None, None)]


@pytest.mark.parametrize("action", ["stop", "pause", "unpause", "checkpoint"])
def test_a_run_that_has_ended_is_not_asked(action: str, home: Path, run: str) -> None:
    with Writer(home, run) as writer:
        writer.update_run(status="stopped")
    result = ra3(action, run)
    assert result.exit_code == Exit.DONE
    assert f"stopped, nothing to {action}" in result.stderr
    assert requests(home, run) == []


def test_set_asks_for_every_value(home: Path, run: str) -> None:
    result = ra3("set", run, "ra3.penalty=0.2", "rlvr.temperature=0.9")
    assert result.exit_code == Exit.DONE
    assert f"{run} ra3: ra3.penalty is asked to be 0.2 after its step" in result.stderr
    assert requests(home, run) == [("set", "ra3.penalty", "0.2"), ("set", "rlvr.temperature", "0.9")]


def test_set_on_a_run_that_has_stopped_waits_for_its_resume(home: Path, run: str) -> None:
    with Writer(home, run) as writer:
        writer.update_run(status="stopped")
    assert "when it is resumed" in ra3("set", run, "ra3.penalty=0.2").stderr
    assert requests(home, run) == [("set", "ra3.penalty", "0.2")]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("ra3.penalty=-1", "greater than or equal to 0"),
        ("ra3.penalty=much", "expected float"),
        ("ra3.penalty", "expected key=value"),
        ("ra3.penaltie=1", "did you mean 'penalty'"),
        ("ra3.gamma=0.5", "those are ra3.penalty, ra3.estep.temperature, "),
        ("ntp.optimiser.learning_rate=0.1", "cannot be changed while this run is at work"),
    ],
)
def test_what_cannot_be_set_is_one_line_and_asks_nothing(setting: str, words: str, home: Path, run: str) -> None:
    result = ra3("set", run, "rlvr.temperature=0.9", setting)
    assert result.exit_code == Exit.USAGE
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert requests(home, run) == []


def test_show_tells_what_was_changed(home: Path, run: str) -> None:
    ra3("set", run, "ra3.penalty=0.2")
    with Writer(home, run) as writer:
        (request,) = writer.requests()
        writer.take(request["id"], 12)
    assert "ra3.penalty = 0.2 behind step 12, by " in ra3("show", run).stdout
    (report,) = json.loads(ra3("show", run, "--json").stdout)["runs"]
    assert [(change["step"], change["key"], change["value"]) for change in report["changes"]] == [
        (12, "ra3.penalty", 0.2)
    ]


class TestFork:
    @pytest.fixture
    def parent(self, home: Path, run: str) -> str:
        """A run with two checkpoints, as far as a fork looks into them."""
        for name, step, ended in (("000005-ra3-partial", 5, False), ("000008-ra3", 8, True)):
            folder = home / run / "checkpoints" / name
            folder.mkdir(parents=True)
            costs = {"tokens_trained": 900, "tokens_generated": 80, "wall": 3.0, "seconds": {}} | {
                "flops": 7,
                "peak_mb": 1.0,
            }
            place = {"step": step, "position": 0, "kind": "ra3", "ended": ended, "after": "ra3", "costs": costs}
            (folder / "place.json").write_text(json.dumps(place))
            (folder / "stage.pt").touch()
        return run

    def test_a_fork_is_shown_with_its_parent_step_and_what_it_has_cost_so_far(self, home: Path, parent: str) -> None:
        origin = find_origin(home, f"{parent[:4]}@8")
        plan_fork(home, origin, forked_recipe(origin, ["rlvr.group_size=3"]), name="tried")
        forked = json.loads(ra3("ls", "--json").stdout)["runs"][0]
        assert (forked["parent"], forked["parent_step"], forked["name"]) == (parent, 8, "tried")
        assert f"ra3 from {parent}@8" in ra3("ls").stdout
        assert f"from {parent}@8" in ra3("show", forked["id"]).stdout
        with closing(Reader(home)) as reader:
            (stage,) = reader.stages(forked["id"])
        assert (stage["status"], stage["last_step"], stage["tokens_trained"]) == ("done", 8, 900)
        assert Path(stage["checkpoint"]).is_dir()

    def test_a_dry_run_shows_the_forks_recipe_and_leaves_nothing_behind(self, home: Path, parent: str) -> None:
        result = ra3("run", "--fork", f"{parent}@5", "ra3.penalty=0.4", "--seed", "0", "--dry-run")
        assert result.exit_code == Exit.USAGE  # a seed is no live knob
        result = ra3("run", "--fork", f"{parent}@5", "ra3.penalty=0.4", "--dry-run", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["arms"]["ra3"]["ra3"]["penalty"] == 0.4
        assert len(json.loads(ra3("ls", "--json").stdout)["runs"]) == 3

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--fork", "{run}@7"], "no checkpoint at step 7; it has 5 (in ra3), 8 (end of ra3)"),
            (["--fork", "{run}@8", "model.id=other"], "a fork has the weights of its checkpoint"),
            (["--fork", "{run}@8", "smoke"], "expected key=value"),
            (["--fork", "{run}@8", "--arm", "ra3"], "leave --arm out"),
            (["--fork", "{run}@8", "--resume", "{run}"], "--fork out"),
        ],
    )
    def test_what_cannot_be_forked_is_one_line(self, arguments: list[str], words: str, parent: str) -> None:
        result = ra3("run", *(argument.format(run=parent) for argument in arguments))
        assert result.exit_code == Exit.USAGE
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
