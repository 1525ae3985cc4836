"""Commands that read and tell: what they print, where, and how they end."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.corpora.comments import find_comments
from engine.corpora.sources import load_corpus
from engine.recipe.files import load_recipe, parse_recipe
from engine.recipe.sections import Ntp
from engine.runs.planning import Plan, plan
from engine.store.writer import Writer
from ra3tui.cli import app
from ra3tui.cli.exit import Exit

COSTS: dict[str, Any] = {"flops": 1.5e15, "peak_mb": 2000.0, "work": {"train": 19.5, "measure": 2.0}}
ESCAPE = "\x1b[31m"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RA3_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def planned(home: Path) -> Plan:
    """Three arms: the base, one that is done, one at work."""
    planned = plan(load_recipe("smoke"), home)
    passes = {"base": ("base", 0.125), "ntp": ("ntp", 0.225), "ra3": ("ra3", 0.325)}
    for run in planned.runs:
        with Writer(home, run.id) as writer:
            after, value = passes[run.arm]
            fill(writer, run.arm, after, value)
    return planned


def fill(writer: Writer, arm: str, after: str, value: float) -> None:
    costs = {**COSTS, "work": json.dumps(COSTS["work"])}
    writer.stage(0, "eval" if arm == "base" else arm, status="done", seconds=22.0, tokens_trained=12_345, **costs)
    row: dict[str, Any] = {"suite": "humaneval[:32]", "step": 3, "after": after, "problems": 32, "n": 2, "masked": 0}
    for k, gain in ((1, 0.0), (2, 0.1)):
        position = 0 if arm == "base" else 1
        numbers = {"value": value + gain, "low": value + gain - 0.075, "high": value + gain + 0.075}
        writer.add("evals", {**row, **numbers, "k": k, "position": position})
    writer.step = 3
    writer.metrics({"loss": 1.25, "grad_norm": math.nan})
    writer.event("started", f"hello from {arm}")
    writer.event("skipped", f"[bold]odd[/bold] {ESCAPE}gradient", level="warning")
    writer.trace(
        {
            "step": 3, "phase": "estep", "round": 1, "trace": "t", "source": "abc.py:1 f", "rollout": 0,
            "prompt": "def f():", "text": f"def f():\n    # why {ESCAPE}\n    return 1", "lines": 1, "latents": 1,
            "bound": -0.5, "bare": -0.7,
        },
        [],
    )  # fmt: skip
    sample = {"step": 3, "phase": "rlvr", "position": 0, "suite": "humaneval", "task": "HumanEval/0", "sample": 0}
    verdict = {"text": "x", "tokens": 1, "stop": "stop", "verdict": "wrong_answer", "failed_test": "test 2"}
    writer.add("samples", sample | verdict)
    living = {"status": "running", "pid": os.getpid(), "heartbeat": time.time(), "progress": 0.4, "eta_s": 93.0}
    changes: dict[str, Any] = {"status": "done"} if arm != "ra3" else living | {"host": os.uname().nodename}
    writer.update_run(stage="rlvr", step=3, **changes)


def ra3(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def ra3_json(*arguments: str) -> Any:
    result = ra3(*arguments, "--json")
    assert result.exit_code == Exit.DONE, result.stderr
    return json.loads(result.stdout)


def test_ls_tells_each_run_with_its_best_pass_at_1(planned: Plan) -> None:
    lines = {run.arm: next(x for x in ra3("ls").stdout.splitlines() if run.id in x) for run in planned.runs}
    assert "done" in lines["ntp"]
    assert "22.5" in lines["ntp"]
    assert "running" in lines["ra3"]
    assert "40%" in lines["ra3"]
    assert "1m33s" in lines["ra3"]


def test_ls_json_has_a_row_a_run(planned: Plan) -> None:
    runs = ra3_json("ls")["runs"]
    assert [run["id"] for run in runs] == [run.id for run in planned.runs]
    assert [run["best_pass@1"] for run in runs] == [0.125, 0.225, 0.325]


def test_show_puts_the_base_first_and_measures_the_others_against_it(planned: Plan) -> None:
    rows = ra3_json("show", planned.group)["comparison"]
    assert [row["arm"] for row in rows] == ["base", "ntp", "ra3"]
    assert rows[0]["pass"]["1"]["delta"] is None
    assert rows[1]["pass"]["1"]["delta"] == pytest.approx(0.1)
    assert rows[2]["pass"]["2"]["delta"] == pytest.approx(0.2)


def test_shows_table_has_percentages_intervals_gains_and_costs(planned: Plan) -> None:
    text = ra3("show").stdout
    row = next(line for line in text.splitlines() if line.split()[:2] == ["ntp", "ntp"])
    numbers = ["22.5", "[15-30]", "+10.0", "32.5", "[25-40]", "+10.0"]
    assert row.split() == ["ntp", "ntp", *numbers, "12.3k", "0", "1.5P", "2.0GB", "20s"]


def test_show_of_one_run_keeps_the_base_to_compare_with(planned: Plan) -> None:
    report = ra3_json("show", planned.runs[2].id)
    assert [run["arm"] for run in report["runs"]] == ["ra3"]
    assert [row["arm"] for row in report["comparison"]] == ["base", "ra3"]


def test_show_json_tells_stages_metrics_evals_and_what_is_not_a_number(planned: Plan) -> None:
    report = ra3_json("show")
    assert report["status"] == "running"
    run = report["runs"][1]
    assert run["stages"] == [
        {"kind": "ntp", "status": "done", "seconds": 22.0, "tokens_trained": 12345, "tokens_generated": 0, **COSTS}
    ]
    assert run["metrics"] == {"latest": {"grad_norm": "nan", "loss": 1.25}}
    assert [row["k"] for row in run["evals"]] == [1, 2]


def test_show_tells_the_best_checkpoint_of_each_suite_by_its_evaluation(home: Path, planned: Plan) -> None:
    ntp, ra3_run = planned.runs[1].id, planned.runs[2].id
    with Writer(home, ntp) as writer:
        writer.stage(0, "ntp", status="done", checkpoint="/c/000002-ntp")
        writer.stage(2, "rlvr", status="done", checkpoint="/c/000009-rlvr")
        writer.stage(4, "rlvr", status="done", checkpoint="/c/000012-rlvr")
        row = {"suite": "humaneval[:32]", "k": 1, "problems": 32, "n": 2, "masked": 0, "low": 0.0, "high": 1.0}
        for position, value, step in ((3, 0.5, 9), (5, 0.5, 12)):
            writer.add("evals", row | {"position": position, "value": value, "step": step, "after": "ntp+rlvr"})
        writer.add("evals", row | {"position": 0, "value": 0.1, "step": 0, "after": "base", "suite": "other"})
    best = {run["id"]: run["best"] for run in ra3_json("show")["runs"]}
    told = {"suite": "humaneval[:32]", "k": 1, "value": 0.5, "after": "ntp+rlvr", "step": 9, "run": ntp}
    base = {"suite": "other", "k": 1, "value": 0.1, "after": "base", "step": 0, "run": ntp, "checkpoint": None}
    assert best[ntp] == [base, told | {"checkpoint": "/c/000009-rlvr"}]
    assert [(row["run"], row["value"]) for row in best[ra3_run]] == [(ra3_run, 0.325)]
    text = ra3("show").stdout
    assert "best pass@1 of humaneval[:32]: 50.0, /c/000009-rlvr" in text
    assert "best pass@1 of other: 10.0, the base model" in text


def test_show_tells_where_a_stages_time_went(planned: Plan) -> None:
    rows = [line.split() for line in ra3("show").stdout.splitlines()]
    assert ["stage", "measure", "train", "all"] in rows
    assert ["ntp", "2.0", "19.5", "22.0"] in rows


def test_show_tells_warnings(planned: Plan) -> None:
    assert "warning: [bold]odd[/bold]" in ra3("show").stdout


def test_tail_once_tells_events_latents_verdicts_and_metrics(planned: Plan) -> None:
    text = ra3("tail", planned.runs[1].id, "--once").stdout
    assert "hello from ntp" in text
    assert "    # why" in text
    assert "HumanEval/0: wrong_answer at test 2" in text
    assert "grad_norm nan  loss 1.25" in text


def test_a_long_history_is_cut_in_the_table_and_whole_in_json(home: Path, planned: Plan) -> None:
    run = planned.runs[0].id
    with Writer(home, run) as writer:
        for number in range(1100):
            writer.add("events", {"at": 0.0, "step": 0, "level": "info", "kind": "note", "message": f"event {number}."})
    text = ra3("show", run).stdout
    assert "event 1099." in text
    assert "event 1094." not in text
    assert "warning: [bold]odd" in text
    assert len(ra3_json("show", run)["events"][run]) == 1102


def test_tail_of_runs_that_have_ended_ends(planned: Plan) -> None:
    assert ra3("tail", planned.runs[0].id).exit_code == Exit.DONE


@pytest.mark.parametrize("command", [("show",), ("tail", "--once")])
def test_nothing_a_model_wrote_reaches_the_terminal_as_a_command(planned: Plan, command: tuple[str, ...]) -> None:
    text = ra3(*command).stdout
    assert "\x1b" not in text
    assert "\\x1b[31m" in text


def test_stop_asks_the_runs_that_live(home: Path, planned: Plan) -> None:
    result = ra3("stop", planned.group)
    assert result.exit_code == Exit.DONE
    assert result.stdout == ""
    assert result.stderr.count("nothing to stop") == 2
    with Writer(home, planned.runs[2].id) as writer:
        assert [row["action"] for row in writer.requests()] == ["stop"]


def test_recipe_list_names_every_shipped_recipe_and_its_arms() -> None:
    recipes = ra3_json("recipe", "list")["recipes"]
    assert recipes["smoke"]["arms"] == ["base", "ntp", "ra3"]
    assert "smollm2" in ra3("recipe", "list").stdout


def test_a_shown_recipe_can_be_run_as_it_is() -> None:
    for arguments in (("smoke",), ("smoke", "--full")):
        shown = ra3("recipe", "show", *arguments).stdout
        assert parse_recipe(shown, "shown") == load_recipe("smoke")


def test_recipe_validate_takes_overrides() -> None:
    assert ra3("recipe", "validate", "smoke", "ra3.penalty=0.2").exit_code == Exit.DONE
    wrong = ra3("recipe", "validate", "smoke", "ra3.penaltie=0.2")
    assert wrong.exit_code == Exit.USAGE
    assert "did you mean 'penalty'?" in wrong.stderr


def test_a_printed_corpus_is_a_file_of_comments_for_its_own_traces(tmp_path: Path) -> None:
    (tmp_path / "code.jsonl").write_text(json.dumps({"code": "x = (1,\n  2)\n# why\ny = 3\n"}))
    printed = ra3("corpus", "smoke", "corpus.kind=jsonl", f"corpus.path={tmp_path / 'code.jsonl'}")
    (row,) = map(json.loads, printed.stdout.splitlines())
    assert row["lines"] == ["x = (1,", "\n  2)", "\ny = 3"]
    assert (row["may_think"], row["comments"]) == ([True, False, True], [None, None, " why"])
    (tmp_path / "comments.jsonl").write_text(printed.stdout)
    trace = load_corpus("jsonl", str(tmp_path / "code.jsonl")).traces[0]
    settings = Ntp(comments="file", comments_path=str(tmp_path / "comments.jsonl"))
    assert find_comments(settings, [trace]).of(trace) == trace.comments


def test_the_schema_is_json() -> None:
    assert "ra3" in json.loads(ra3("recipe", "schema").stdout)["properties"]


def test_a_dry_run_resolves_each_arm_and_leaves_nothing_behind(home: Path) -> None:
    result = ra3_json("run", "smoke", "ra3.penalty=0.2", "--seed", "7", "--device", "cpu", "--arm", "ra3", "--dry-run")
    assert list(result["arms"]) == ["ra3"]
    recipe = result["arms"]["ra3"]
    assert (recipe["ra3"]["penalty"], recipe["seed"], recipe["compute"]["device"]) == (0.2, 7, "cpu")
    assert len(result["uses"]["ra3"]) == 4
    assert not home.exists()


def test_a_dry_runs_toml_can_be_run_as_it_is() -> None:
    result = ra3("run", "smoke", "--arm", "ntp", "--dry-run")
    assert parse_recipe(result.stdout, "dry run") == load_recipe("smoke").for_arm("ntp")
    assert "4.0k trained tokens" in result.stderr


def test_an_evaluation_is_a_recipe_of_one_arm() -> None:
    arguments = ("gpt2", "--suite", "humaneval[:3]", "--suite", "humaneval[3:6]", "--n", "2", "--k", "1", "--seed", "5")
    recipe = ra3_json("eval", *arguments, "--temperature", "0", "--dry-run")["arms"]["base"]
    assert recipe["model"]["id"] == "gpt2"
    assert recipe["eval"]["suites"] == ["humaneval[:3]", "humaneval[3:6]"]
    assert (recipe["eval"]["n"], recipe["eval"]["k"], recipe["eval"]["temperature"]) == (2, [1], 0)
    assert (recipe["seed"], recipe["arms"]["base"]["stages"]) == (5, ["eval"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run",), Exit.USAGE, "name a recipe"),
        (("run", "smokey"), Exit.USAGE, "did you mean 'smoke'?"),
        (("run", "smoke", "ra3.penalty"), Exit.USAGE, "expected key=value"),
        (("run", "smoke", "--seed", "x"), Exit.USAGE, "--seed"),
        (("run", "smoke", "--arm", "ra2"), Exit.USAGE, "did you mean 'ra3'?"),
        (("run", "smoke", "--resume", "x"), Exit.USAGE, "leave RECIPE"),
        (("run", "--resume", "x"), Exit.ENVIRONMENT, "no runs here yet"),
        (("eval", "gpt2", "--n", "0", "--dry-run"), Exit.USAGE, "eval.n = 0"),
        (("ls",), Exit.ENVIRONMENT, "no runs here yet"),
        (("show", "x"), Exit.ENVIRONMENT, "no runs here yet"),
        (("tail", "x"), Exit.ENVIRONMENT, "no runs here yet"),
        (("stop", "x"), Exit.ENVIRONMENT, "no runs here yet"),
        (("recipe", "show", "x"), Exit.USAGE, "no recipe 'x'"),
        (("recipe", "validate", "x"), Exit.USAGE, "no recipe 'x'"),
        (("nosuch",), Exit.USAGE, "nosuch"),
        (("ls", "--nosuch"), Exit.USAGE, "--nosuch"),
    ],
)
def test_a_mistake_ends_with_its_code_and_a_line_on_stderr(arguments: tuple[str, ...], code: Exit, words: str) -> None:
    result = ra3(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_reference_to_nothing_says_how_to_list_what_there_is(planned: Plan) -> None:
    result = ra3("show", "zzzz")
    assert result.exit_code == Exit.ENVIRONMENT
    assert "no run or group 'zzzz' here; `ra3 ls` lists them" in result.stderr


def test_a_broken_store_says_what_to_do(home: Path) -> None:
    home.mkdir()
    (home / "ra3.db").write_bytes(b"nonsense " * 1000)
    for arguments in (("ls",), ("run", "smoke")):
        result = ra3(*arguments)
        assert result.exit_code == Exit.ENVIRONMENT
        assert "not a sound SQLite store" in result.stderr


@pytest.mark.medium
def test_the_doctor_finds_what_is_needed_and_says_so_when_it_is_not(home: Path, tmp_path: Path) -> None:
    report = ra3_json("doctor")
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["python"]["ok"]
    assert by_name["torch"]["ok"]
    assert "cpu" in by_name["devices"]["found"]
    (tmp_path / "file").touch()
    unhealthy = ra3("doctor", "--home", str(tmp_path / "file" / "home"))
    assert unhealthy.exit_code == Exit.ENVIRONMENT
    assert "MISSING" in unhealthy.stdout


@pytest.mark.medium
def test_a_reader_that_has_seen_enough_is_no_error(planned: Plan, home: Path) -> None:
    command = [sys.executable, "-m", "ra3tui.cli", "show", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == Exit.DONE


@pytest.mark.medium
def test_the_dashboard_opens_on_the_run_that_was_named(home: Path) -> None:
    command = [sys.executable, "-m", "ra3tui.cli", "tui", "@latest", "--home", str(home)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == Exit.USAGE  # stdout is no terminal
    assert "the dashboard needs a terminal" in result.stderr


@pytest.mark.medium
def test_no_color_is_honoured_on_a_terminal(planned: Plan, home: Path) -> None:
    plain, coloured = (on_a_terminal(home, extra) for extra in ({"NO_COLOR": "1"}, {}))
    assert "\x1b[3" not in plain
    assert "\x1b[" in coloured


def on_a_terminal(home: Path, extra: dict[str, str]) -> str:
    """What ``ra3 tail`` prints where stdout is a terminal."""
    controller, terminal = os.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    command = [sys.executable, "-m", "ra3tui.cli", "tail", "--once", "--home", str(home)]
    environment |= {"TERM": "xterm-256color", **extra}
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL, env=environment):
        os.close(terminal)
        chunks = []
        while chunk := read_terminal(controller):
            chunks.append(chunk)
    os.close(controller)
    return b"".join(chunks).decode()


def read_terminal(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # the other side is closed
        return b""
