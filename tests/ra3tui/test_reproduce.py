"""`ra3 reproduce`: it goes on where it was killed, does nothing twice, and writes its page from the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from engine.recipe.files import load_recipe
from engine.store.connection import StoreError
from engine.store.reader import Reader
from ra3tui.cli.reproduce import Launch, known

SMALL = """
extends = "reproduce"
name = "small"
[corpus]
limit = 20
held_out = 2
[eval]
suites = ["katas[:2]"]
max_new_tokens = 30
[ntp]
tokens = 300
step_tokens = 150
[ra3]
group_size = 2
held_out_rollouts = 0
[ra3.mstep]
tokens = 300
step_tokens = 150
[rlvr]
suite = "katas-rlvr[:4]"
updates = 2
problems_per_update = 2
group_size = 2
max_new_tokens = 30
"""


def command(folder: Path, *words: str) -> list[str]:
    recipe = folder / "small.toml"
    recipe.write_text(SMALL)
    own = ["--recipe", str(recipe), "--seeds", "1", "--home", str(folder / "home"), "--out", str(folder / "tiny.md")]
    jobs = ["--jobs", str(os.cpu_count())]  # a core each: the threads of a model so small wait for each other
    return [sys.executable, "-m", "ra3tui.cli", "reproduce", *own, *jobs, *words]


def done(home: Path) -> int:
    try:
        with closing(Reader(home)) as reader:
            return sum(run["status"] == "done" for run in reader.runs())
    except StoreError:
        return 0


@pytest.mark.slow
def test_it_goes_on_where_it_was_killed_and_does_nothing_twice(tmp_path: Path) -> None:
    killed = subprocess.Popen(command(tmp_path), start_new_session=True, stderr=subprocess.DEVNULL)
    while done(tmp_path / "home") < 2:
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    again = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    with closing(Reader(tmp_path / "home")) as reader:
        runs = reader.runs()
    assert len({run["group"] for run in runs}) == 1
    assert {run["status"] for run in runs} == {"done"}
    page = (tmp_path / "tiny.md").read_text()
    assert "## Base model `ra3-tiny`, 1 seeds" in page
    assert (tmp_path / "tiny-rewards-0.svg").exists()
    (tmp_path / "tiny.md").unlink()
    third = subprocess.run(command(tmp_path), capture_output=True, text=True, check=True)
    assert "1 launches, 1 done" in third.stderr
    assert (tmp_path / "tiny.md").read_text() == page
    recipe, launch = load_recipe(str(tmp_path / "small.toml")), Launch("ra3-tiny", 0)
    assert known(tmp_path / "home", recipe, [launch])[launch].done
    assert not known(
        tmp_path / "home", recipe.with_values({"ra3.penalty": 0.3}), [launch]
    )  # no launch of these settings


def test_what_the_recipe_cannot_have_is_told_before_anything_is_run(tmp_path: Path) -> None:
    outcome = subprocess.run(command(tmp_path, "eval.suites=['kata']"), capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert "there is no suite 'kata'" in outcome.stderr
    assert not (tmp_path / "home").exists()
