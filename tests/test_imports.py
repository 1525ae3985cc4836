"""Imports go one way, and what a person waits for imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def loaded_after(code: str) -> set[str]:
    """Top-level names of the modules that are loaded once ``code`` has run in a fresh interpreter."""
    probe = "\nprint(*{name.partition('.')[0] for name in sys.modules}, sep='\\n', file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}{probe}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stderr.split())


HELP = """
import ra3tui.cli
try:
    ra3tui.cli.main(["--help"])
except SystemExit as end:
    assert end.code == 0
"""


def test_help_imports_nothing_heavy() -> None:
    loaded = loaded_after(HELP)
    assert "typer" in loaded
    assert not loaded & {"torch", "transformers", "accelerate", "textual", "numpy", "pydantic", "sqlite_utils", "rich"}


@pytest.mark.medium
def test_reading_commands_import_no_torch() -> None:
    modules = "control, doctor, eval, judge, ls, recipe, report, run, show, tail"
    loaded = loaded_after(
        f"from ra3tui.cli import {modules}\nimport engine.runs.planning, engine.store.reader, engine.recipe.recipe"
    )
    assert not loaded & {"torch", "transformers", "accelerate", "textual"}


@pytest.mark.medium
def test_the_app_imports_no_torch() -> None:
    loaded = loaded_after("import ra3tui.app")
    assert "textual" in loaded
    assert not loaded & {"torch", "transformers", "accelerate"}


@pytest.mark.slow
def test_the_pipeline_draws_nothing() -> None:
    loaded = loaded_after("import engine.pipeline")
    assert "torch" in loaded
    assert not loaded & {"textual", "typer", "ra3tui"}


def test_the_sandbox_knows_no_model() -> None:
    assert not loaded_after("import sandbox") & {"torch", "transformers", "numpy", "engine", "ra3tui", "pydantic"}


def test_the_import_contracts_hold() -> None:
    linter = pytest.importorskip("importlinter.cli")
    assert linter.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0
