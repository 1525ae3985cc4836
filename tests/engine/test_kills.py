"""Runs killed by SIGKILL at random moments end with the bits and the records of one that never was."""

from __future__ import annotations

import math
import os
import random
import signal
from pathlib import Path

import pytest

from engine.recipe.recipe import Recipe
from engine.store.reader import Reader
from tests.engine.engines import begin, fingerprint, records, start, status
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("RA3_KILL_SEED", "0"))
"""Of the moments; other ones are tried with another."""


def where(home: Path, run: str) -> str:
    """What the run says it is at."""
    reader = Reader(home)
    row = reader.run(run)
    reader.close()
    return f"step {row['step']} {row['stage'] or row['status']}"


class Pace:
    """Seconds that a whole run takes: the fewest seen, as a machine may be busier at one time than at another."""

    def __init__(self) -> None:
        self.seconds = math.inf

    def uninterrupted(self, recipe: Recipe, home: Path) -> str:
        """A whole run, by which it is set."""
        run = start(recipe, home)
        process = begin(home, run)
        process.join()
        assert process.exitcode == 0
        self.take(home, run)
        return run

    def take(self, home: Path, run: str) -> None:
        """Take a run into account that was let alone."""
        reader = Reader(home)
        row = reader.run(run)
        reader.close()
        self.seconds = min(self.seconds, row["ended"] - row["started"])


def killed_until_done(recipe: Recipe, home: Path, moments: list[float], pace: Pace) -> tuple[str, list[str]]:
    """A run that is killed at each of ``moments``, which are used up, and resumed until it is done.

    They are in parts of a whole run, counted from where its engine was started.
    """
    run = start(recipe, home)
    killed: list[str] = []
    while status(home, run) != "done":
        process = begin(home, run)
        process.join(moments[0] * pace.seconds if moments else None)
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            killed.append(f"{where(home, run)} after {moments.pop(0):.3f} of a run")
        else:
            assert process.exitcode == 0, f"seed {SEED}, killed at {killed}"
    if not killed:
        pace.take(home, run)
    return run, killed


def check_kills(recipe: Recipe, home: Path, kills: int) -> None:
    """As many runs as it takes for so many kills, each compared with one that was let alone."""
    recipe = recipe.with_values({"sandbox.workers": 1})  # each engine opens its own, and has four samples to judge
    pace = Pace()
    whole = pace.uninterrupted(recipe, home)
    rng = random.Random(SEED)
    moments = [rng.uniform(0, 0.6) for _ in range(kills)]
    while moments:
        run, killed = killed_until_done(recipe, home, moments, pace)
        told = f"seed {SEED}, killed at {killed}"
        assert fingerprint(home, run) == fingerprint(home, whole), told
        assert records(home, run) == records(home, whole), told


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    longer = {  # most of the time goes into updates, so that most kills fall between a checkpoint and a later update
        '"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp", "ra3", "rlvr"',
        "tokens = 600": "tokens = 2700",
        "updates = 2\ntraces = 1": "updates = 6\ntraces = 1",
        "tokens = 300": "tokens = 900",
        "updates = 2\nproblems": "updates = 4\nproblems",
        "every = 1": "every = 3",
    }
    check_kills(small_recipe(tmp_path, **longer), tmp_path, 20)


KINDS = {
    "resampling": {"updates = 2\ntraces = 1": 'method = "smc"\ntraces = 1', "tokens = 300": "tokens = 2000"},
    "a scorer that follows": {"updates = 2\ntraces = 1": 'scorer = "ema"\nupdates = 12\ntraces = 1'},
    "branches": {
        "updates = 2\ntraces = 1": 'mode = "branch"\nupdates = 12\ntraces = 1',
        "max_latent": "horizon = 2\nmax_latent",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_kills_of_other_e_steps_change_nothing(kind: str, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **KINDS[kind], **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"ra3"'})
    check_kills(recipe, tmp_path, 3)
