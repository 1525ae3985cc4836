"""What the app loads before its first paint."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "accelerate", "pydantic", "sqlite_utils", "docker")


@pytest.mark.medium
def test_the_app_loads_no_torch_and_nothing_slow_before_it_is_wanted() -> None:
    code = f"import sys, ra3tui.app; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.medium
def test_reading_the_store_and_planning_runs_load_no_torch() -> None:
    names = "[n for n in ('torch', 'transformers') if n in sys.modules]"
    code = f"import sys, engine.store.reader, engine.runs.planning; print({names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.medium
def test_without_a_terminal_it_says_what_to_use_instead() -> None:
    done = subprocess.run([sys.executable, "-m", "ra3tui.app"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ra3 ls" in done.stderr
