"""Settings of all tests: no model hub is asked, and a busy machine fails no property."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for models this small, threads wait for each other
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell both are ignored, by all that
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # is started from here too, to which tests send them
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

LONGEST = (
    *("test_endurance.py", "test_kills.py", "test_traces.py", "test_processes.py", "test_compiling.py"),
    *("test_reproduce.py", "test_pipeline.py", "test_boundary.py", "test_cli_run.py", "test_keys.py"),
)
"""Files of a minute and more: begun first, in this order, so that no core waits for another at the end."""


def pytest_xdist_auto_num_workers() -> int | None:
    """With `-n auto` one more than there are cores for us: some tests wait, for an end, a limit, a process."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, in that order, the others as they come."""
    turn = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: turn.get(item.path.name, len(turn)))


def pytest_collection_finish() -> None:
    """What was imported and collected is never garbage: the many collections of runs need not look through it."""
    gc.collect()
    gc.freeze()
