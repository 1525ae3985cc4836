"""What the tests of the app share."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import App


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where runs would be kept; not made yet."""
    return tmp_path / "runs"


@pytest.fixture
def app(home: Path) -> App:
    """The app on that home, not running yet."""
    return App(home)
