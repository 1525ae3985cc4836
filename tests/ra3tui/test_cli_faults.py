"""Every kind of fault has its exit code and its one line; faults of ours are not dressed up as somebody else's."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner, Result

from engine.errors import EnvironmentFault, UsageFault
from engine.recipe.keys import RecipeError
from engine.store.connection import StoreError
from ra3tui.cli.exit import Exit
from ra3tui.cli.faults import Ra3Group
from sandbox import SandboxUnavailable


def end_with(error: BaseException, *arguments: str) -> Result:
    app = typer.Typer(cls=Ra3Group, rich_markup_mode=None)

    @app.callback()
    def root(debug: bool = False) -> None:
        pass

    @app.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(app, [*arguments, "fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageFault("it"), Exit.USAGE),
        (RecipeError("it"), Exit.USAGE),
        (EnvironmentFault("it"), Exit.ENVIRONMENT),
        (StoreError("it"), Exit.ENVIRONMENT),
        (SandboxUnavailable("it"), Exit.SANDBOX),
    ],
)
def test_what_a_person_can_mend_is_one_line(error: Exception, code: Exit) -> None:
    result = end_with(error)
    assert (result.exit_code, result.stderr, result.stdout) == (code, "ra3: it\n", "")


def test_an_interrupt_is_quiet() -> None:
    result = end_with(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (Exit.INTERRUPTED, "")


def test_a_fault_of_ours_is_called_one_and_says_how_to_see_more() -> None:
    result = end_with(ZeroDivisionError("by zero"))
    assert result.exit_code == Exit.FAILED
    assert result.stderr == "ra3: internal fault: ZeroDivisionError: by zero; --debug shows where\n"


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), UsageFault("it")])
def test_debug_shows_where_an_error_came_from(error: Exception) -> None:
    assert end_with(error, "--debug").exception is error


@pytest.mark.parametrize("error", [typer.Exit(7), typer.BadParameter("it")])
def test_ends_that_are_no_faults_pass_through(error: Exception) -> None:
    assert end_with(error).exit_code in {7, Exit.USAGE}


@pytest.mark.medium
def test_the_entry_point_shows_a_traceback_only_when_asked() -> None:
    command = [sys.executable, "-m", "ra3tui.cli", "--debug", "recipe", "show", "nosuch"]
    debugged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in debugged.stderr
    command.remove("--debug")
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == Exit.USAGE
    assert plain.stderr.startswith("ra3: no recipe 'nosuch'")
    assert len(plain.stderr.splitlines()) == 1


@pytest.mark.parametrize(("options", "shown"), [([], False), (["-W", "default"], True)])
def test_what_a_library_will_change_is_told_to_who_asks_for_it_alone(options: list[str], shown: bool) -> None:
    code = (
        "import warnings, ra3tui.cli, ra3tui.cli.commands as commands\n"
        "commands.build_app = lambda _: lambda *_, **__: warnings.warn('soon', FutureWarning)\n"
        "ra3tui.cli.main()\n"
    )
    run = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
    assert ("FutureWarning: soon" in run.stderr) == shown
