"""``ra3 run`` with the real engine on a random tiny model: what it prints, and every way it can end."""

from __future__ import annotations

import email
import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from engine.runs.planning import RunLock
from engine.store.connection import StoreError
from engine.store.reader import Reader
from ra3tui.cli import app
from ra3tui.cli.exit import Exit

pytestmark = pytest.mark.slow

RECIPE = """
name = "short"
[model]
id = "random:tiny"
[compute]
device = "cpu"
row_tokens = 256
[corpus]
kind = "folder"
path = "{code}"
limit = 24
held_out = 2
max_lines = 12
max_tokens = 200
[checkpoints]
every = 5
[eval]
suites = ["humaneval[:1]"]
n = 1
k = [1]
max_new_tokens = 4
[ntp]
tokens = 20000
step_tokens = 500
[arms.base]
stages = ["eval"]
[arms.ntp]
stages = ["ntp"]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """A recipe on one package of the standard library, with a checkpoint every five updates."""
    path = tmp_path / "short.toml"
    path.write_text(RECIPE.format(code=Path(email.__file__).parent), encoding="utf-8")
    return str(path)


def ra3(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home)], catch_exceptions=False)


def shown(home: Path) -> Any:
    return json.loads(ra3(home, "show", "--json").stdout)


def test_a_run_that_is_done_prints_one_json_object(home: Path, recipe: str) -> None:
    result = ra3(home, "run", recipe, "--arm", "base", "--json", "--name", "night")
    assert result.exit_code == Exit.DONE
    report = json.loads(result.stdout)
    assert (report["status"], report["name"]) == ("done", "night")
    (run,) = report["runs"]
    assert [(stage["kind"], stage["status"]) for stage in run["stages"]] == [("eval", "done")]
    assert run["stages"][0]["tokens_generated"] > 0
    assert "pass@1/humaneval[:1]" in run["metrics"]["latest"]
    assert [row["k"] for row in run["evals"]] == [1]
    assert f"{run['id']} base eval" in result.stderr


def test_a_run_ends_with_the_table_that_show_prints(home: Path, recipe: str) -> None:
    result = ra3(home, "run", recipe, "--arm", "base")
    table = result.stdout.splitlines()[1:]  # without the line that tells its age
    assert table == ra3(home, "show").stdout.splitlines()[1 : len(table) + 1]


def test_a_run_with_latents_ends_with_a_few_traces_and_what_to_look_at(home: Path) -> None:
    small = [
        "corpus.limit=12",
        "corpus.held_out=2",
        "ra3.mstep.tokens=300",
        "ra3.group_size=8",
        "ra3.held_out_rollouts=0",
    ]
    result = ra3(home, "run", "quickstart", *small, "arms.ra3.stages=['ra3']", "--arm", "ra3")
    assert result.exit_code == Exit.DONE, result.stderr
    assert "ra3: what it was trained on, where comments helped most" in result.stdout
    with closing(Reader(home)) as reader:
        traces = reader.likeliest(reader.runs()[0]["id"], 3)
    assert traces
    assert all(trace["text"] in result.stdout for trace in traces)
    assert "`ra3tui` shows the curves" in result.stderr


def test_an_evaluation_is_a_run_like_any_other(home: Path) -> None:
    arguments = ("--suite", "humaneval[:1]", "--n", "1", "--k", "1", "--max-new-tokens", "4", "--device", "cpu")
    result = ra3(home, "eval", "random:tiny", *arguments, "--json")
    assert result.exit_code == Exit.DONE
    assert json.loads(result.stdout) == {key: value for key, value in shown(home).items() if key != "events"}


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["model.id=/no/such/model"], Exit.ENVIRONMENT, "/no/such/model"),
        (["corpus.kind=folder", "corpus.path=."], Exit.USAGE, "corpus"),
        (["sandbox.backend=docker"], Exit.SANDBOX, "docker"),
    ],
)
def test_what_a_person_can_mend_ends_the_run_with_its_code_and_can_be_resumed(
    home: Path,
    recipe: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    code: Exit,
    words: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nosuch.sock")
    arm = "ntp" if overrides[0].startswith("corpus") else "base"
    result = ra3(home, "run", recipe, *overrides, "--arm", arm, "--json")
    assert result.exit_code == code
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ra3: ")
    assert words in last
    (run,) = shown(home)["runs"]
    assert run["status"] == "failed"
    assert words in run["error"]


@pytest.mark.parametrize("ending", [[], ["--dry-run"], ["--detach"]], ids=["run", "dry run", "detached"])
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["corpus.kind=jsonl", "corpus.path=nosuch.jsonl"], "nosuch.jsonl"),
        (["eval.suites=['nosuch']"], "nosuch"),
        (["seed=4294967296"], "seed"),
        (["eval.k=[0]"], "eval.k"),
        (["compute.device=cdua"], "write auto, cpu, cuda"),
    ],
)
def test_what_is_not_there_is_told_before_a_run_is_planned(
    home: Path, recipe: str, overrides: list[str], words: str, ending: list[str]
) -> None:
    result = ra3(home, "run", recipe, *overrides, *ending)
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("ra3: ")
    assert words in line
    assert not home.exists()


def test_an_evaluation_on_a_file_that_is_not_there_plans_nothing(home: Path) -> None:
    result = ra3(home, "eval", "random:tiny", "--suite", "jsonl:nosuch.jsonl", "--n", "1")
    assert result.exit_code == Exit.USAGE
    assert "nosuch.jsonl: cannot be read" in result.stderr
    assert not home.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_recipe_for_a_gpu_says_so_where_there_is_none(home: Path, recipe: str) -> None:
    result = ra3(home, "run", recipe, "--arm", "base", "--device", "cuda")
    assert result.exit_code == Exit.ENVIRONMENT
    assert "no GPU here; set compute.device=cpu" in result.stderr
    assert not home.exists()


def test_a_run_that_fails_by_itself_says_why_in_the_store(home: Path, recipe: str) -> None:
    result = ra3(home, "run", recipe, "--arm", "ntp", "ntp.optimiser.learning_rate=1e30", "--json")
    assert result.exit_code == Exit.FAILED
    report = json.loads(result.stdout)
    assert report["status"] == "failed"
    assert "not finite" in report["runs"][0]["error"]


def test_a_second_engine_on_a_run_is_refused(home: Path, recipe: str) -> None:
    assert ra3(home, "run", recipe, "model.id=/no/such/model", "--arm", "base").exit_code == Exit.ENVIRONMENT
    (run,) = shown(home)["runs"]
    with RunLock(home, run["id"]):
        result = ra3(home, "run", "--resume", "@latest")
    assert result.exit_code == Exit.ENVIRONMENT
    assert f"run {run['id']} is being worked on by process" in result.stderr


def wait_for_updates(home: Path, process: subprocess.Popen[str]) -> None:
    """Until the run has recorded its first update."""
    while process.poll() is None:
        try:
            with closing(Reader(home)) as reader:
                if reader.rows("SELECT 1 FROM metrics WHERE key = 'loss' LIMIT 1"):
                    return
        except StoreError:  # not made yet
            continue
    raise AssertionError(f"the run ended with {process.returncode} before it was interrupted")


def test_an_interrupted_run_is_marked_and_resumed_to_its_end(home: Path, recipe: str) -> None:
    command = [sys.executable, "-m", "ra3tui.cli", "run", recipe, "--arm", "ntp", "--json", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_updates(home, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert json.loads(output)["status"] == "stopped"
    interrupted_at = shown(home)["runs"][0]["step"]

    resumed = ra3(home, "run", "--resume", "@latest", "--json")
    assert resumed.exit_code == Exit.DONE, resumed.stderr
    assert json.loads(resumed.stdout)["runs"][0]["step"] > interrupted_at
    assert ra3(home, "run", "--resume", "@latest").exit_code == Exit.USAGE


def test_a_detached_run_is_followed_to_its_end(home: Path, recipe: str) -> None:
    started = ra3(home, "run", recipe, "--arm", "base", "--detach", "--json")
    assert started.exit_code == Exit.DONE
    answer = json.loads(started.stdout)
    assert answer["pid"] > 0
    followed = ra3(home, "tail", answer["runs"][0])
    assert "humaneval HumanEval/0" in followed.stdout
    assert shown(home)["status"] == "done"
    assert Path(answer["log"]).exists()


def test_a_stop_ends_a_run_between_two_updates(home: Path, recipe: str) -> None:
    command = [sys.executable, "-m", "ra3tui.cli", "run", recipe, "ntp.tokens=1000000", "--arm", "ntp"]
    with subprocess.Popen([*command, "--home", str(home)], stderr=subprocess.PIPE, text=True) as process:
        wait_for_updates(home, process)
        assert ra3(home, "stop", "@latest").exit_code == Exit.DONE
        _, stderr = process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert "stopped by request" in stderr
