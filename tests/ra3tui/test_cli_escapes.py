"""Whatever a recipe, a run, an arm, a task or a file is called, no command sends it to a terminal as a command."""

from __future__ import annotations

import json
import os
import tomllib
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich import box
from rich.table import Table
from typer.testing import CliRunner, Result

from engine.recipe.files import load_recipe
from engine.runs.planning import Plan, plan
from engine.runs.progress import Progress
from engine.store.writer import Writer
from ra3tui.cli import app
from ra3tui.cli.exit import Exit
from ra3tui.cli.options import printable, safe_json, say, stderr, stdout
from ra3tui.cli.progress import Bars, Lines, make_bars
from ra3tui.cli.sandbox import _pass_on

EVIL = "\x1b[31m\x1b]0;t\x07\x9b1m\x7f\u202ex\u2028"
RAW = set(EVIL) - set("[31m]0;tx")
SOURCE = 'def f(x):\n    """Doc."""\n    a = x\n    b = a\n    return b\n'


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RA3_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


def in_toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose every name is evil, and a corpus with a file of such a name."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / f"a{EVIL}.py").write_text(SOURCE)
    (corpus / f"b{EVIL}.py").write_text("def")
    path = tmp_path / "evil.toml"
    names = f"name = {in_toml(EVIL)}\ndescription = {in_toml(EVIL)}"
    path.write_text(
        f'extends = "smoke"\n{names}\n[corpus]\nkind = "folder"\npath = {in_toml(str(corpus))}\n'
        f'[arms.{in_toml(EVIL)}]\nstages = ["eval"]\n'
    )
    return path


@pytest.fixture
def planned(recipe: Path, tmp_path: Path) -> Plan:
    planned = plan(load_recipe(str(recipe)), tmp_path / "home", tags=[EVIL])
    with Writer(tmp_path / "home", planned.runs[0].id) as writer:
        writer.update_run(stage=EVIL, error=EVIL, device=EVIL)
        writer.stage(0, "eval", status=EVIL, work=json.dumps({EVIL: 1.0}))
        writer.event("note", EVIL)
        writer.metrics({EVIL: 1.0})
        sample = {"step": 0, "phase": "eval", "position": 0, "suite": EVIL, "task": EVIL, "sample": 0, "text": EVIL}
        writer.add("samples", {**sample, "tokens": 1, "stop": "eos", "verdict": "passed", "failed_test": EVIL})
        figures = {"value": 0.5, "low": 0.4, "high": 0.6, "problems": 1, "n": 1, "masked": 0}
        writer.add("evals", {"position": 0, "suite": EVIL, "k": 1, "step": 0, "after": EVIL, **figures})
    return planned


def ra3(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def assert_harmless(*texts: str) -> None:
    for text in texts:
        assert not set(text) & RAW
    assert "[31m" in "".join(texts)


@pytest.mark.parametrize(
    "command",
    [("ls",), ("show",), ("tail", "--once"), ("stop", "@latest"), ("pause", "@latest"), ("checkpoint", "@latest")],
    ids=lambda command: command[0],
)
def test_what_is_told_of_runs_is_escaped(planned: Plan, command: tuple[str, ...]) -> None:
    result = ra3(*command)
    assert result.exit_code == Exit.DONE, result.stderr
    assert_harmless(result.stdout, result.stderr)


@pytest.mark.parametrize("command", ["ls", "show"])
def test_json_holds_the_names_as_they_are_and_shows_them_escaped(planned: Plan, command: str) -> None:
    result = ra3(command, "--json")
    assert_harmless(result.stdout)
    (run,) = json.loads(result.stdout)["runs"]
    assert (run["arm"], run["stage"], run["error"]) == (EVIL, EVIL, EVIL)


@pytest.mark.parametrize(
    "command",
    [
        ("recipe", "show", "FILE"),
        ("recipe", "show", "FILE", "--full"),
        ("recipe", "validate", "FILE"),
        ("run", "FILE", "--dry-run"),
        ("run", "FILE", "--arm", EVIL + "!"),
        ("run", EVIL),
        ("run", "FILE", EVIL),
        ("run", "FILE", f"{EVIL}=1"),
        ("run", "FILE", f"ntp.tokens={EVIL}"),
        ("judge", EVIL, "--references"),
        ("judge", "humaneval", EVIL),
        ("corpus", "FILE"),
        (EVIL,),
        ("run", f"--{EVIL}"),
        ("sandbox", "exec", EVIL),
    ],
)
def test_what_is_told_of_recipes_and_files_is_escaped(recipe: Path, command: tuple[str, ...]) -> None:
    result = ra3(*(str(recipe) if word == "FILE" else word for word in command))
    assert result.exit_code in (Exit.DONE, Exit.USAGE, Exit.ENVIRONMENT), result.stderr
    assert_harmless(result.stdout, result.stderr)


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_a_recipe_that_is_shown_is_still_that_recipe(recipe: Path, full: list[str]) -> None:
    shown = tomllib.loads(ra3("recipe", "show", str(recipe), *full).stdout)
    assert shown["name"] == EVIL
    assert list(shown["arms"]) == [EVIL]


def test_the_traces_of_a_corpus_keep_their_ids(recipe: Path) -> None:
    assert json.loads(ra3("corpus", str(recipe)).stdout)["trace"] == f"a{EVIL}.py::f:1"


def test_a_name_that_is_no_utf8_is_printed(tmp_path: Path, recipe: Path) -> None:
    odd = os.fsdecode(b"r\xff.toml")
    (tmp_path / odd).write_bytes(recipe.read_bytes())
    result = ra3("recipe", "validate", str(tmp_path / odd))
    assert (result.exit_code, "r\\udcff.toml: valid" in result.stdout) == (Exit.DONE, True)


def test_a_run_may_have_a_name_that_is_no_utf8(recipe: Path, tmp_path: Path) -> None:
    plan(load_recipe(str(recipe)), tmp_path / "home", name="n\udcff", tags=["t\udcff"])
    assert "n\\udcff" in ra3("ls").stdout


def test_progress_is_escaped_with_bars_and_without(capsys: pytest.CaptureFixture[str]) -> None:
    step = Progress("r1", EVIL, EVIL, 1, 2, EVIL, EVIL)
    Lines().progress(step)
    Lines().event("r1", "warning", EVIL)
    with make_bars(stderr()) as bars:
        shown = Bars(bars)
        shown.progress(step)
        shown.event("r1", "warning", EVIL)
        shown.close()
    assert_harmless(capsys.readouterr().err)


def test_a_table_is_as_wide_as_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("a", "b", box=box.ASCII)
    table.add_row("\x1b" * 3, "c")
    stdout().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert "| \\x1b\\x1b\\x1b | c |" in lines
    assert len({len(line) for line in lines}) == 1


def test_colours_of_our_own_still_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stdout().print("a\x1bb", style="bold")
    assert terminal.getvalue() == "\x1b[1ma\\x1bb\x1b[0m\n"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_what_a_program_prints_is_passed_on_and_to_a_terminal_escaped() -> None:
    file, terminal = StringIO(), Terminal()
    for stream in (file, terminal):
        _pass_on(EVIL, stream)
    assert file.getvalue() == EVIL
    assert_harmless(terminal.getvalue())


@pytest.mark.parametrize("text", [EVIL, "\U000e0001", "\udcff", "π\U0001f600", "a\r\tb\nc"])
def test_json_is_the_same_to_who_reads_it(text: str) -> None:
    shown = safe_json({text: [text]}, indent=2)
    assert json.loads(shown) == {text: [text]}
    assert shown.replace("\n", "").isprintable()


def test_toml_is_the_same_to_who_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    text: Any = "\x9b\u202e\U000e0001π"
    say(f'a = "{text}"')
    shown = capsys.readouterr().out
    assert tomllib.loads(shown) == {"a": text}
    assert shown == 'a = "\\u009b\\u202e\\U000e0001π"\n'


@pytest.mark.parametrize("option", [[], ["--stdin"]], ids=["program", "input"])
def test_a_program_for_the_sandbox_that_is_no_file_is_one_line(tmp_path: Path, option: list[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "program.py").write_text("")
    result = ra3(
        "sandbox", "exec", *([str(tmp_path / "program.py"), *option] if option else []), str(tmp_path / "pipe")
    )
    assert result.exit_code == Exit.USAGE
    assert "pipe: cannot be read as text" in result.stderr


def test_escapes_are_escaped_once() -> None:
    assert printable(printable(EVIL)) == printable(EVIL)
