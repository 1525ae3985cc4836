"""Runs killed by SIGKILL at random moments end with the bits and the records of one that never was."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from engine.recipe.recipe import Recipe
from engine.store.reader import Reader
from tests.engine.engines import begin, fingerprint, finish, records, start, status
from tests.engine.small import small_recipe

SEED = int(os.environ.get("RA3_KILL_SEED", "0"))
"""Of the moments; other ones are tried with another."""


def where(home: Path, run: str) -> str:
    """What the run says it is at."""
    reader = Reader(home)
    row = reader.run(run)
    reader.close()
    return f"step {row['step']} {row['stage'] or row['status']}"


def uninterrupted(recipe: Recipe, home: Path) -> tuple[str, float]:
    """A whole run, and the seconds it took."""
    run = start(recipe, home)
    finish(home, run)
    reader = Reader(home)
    row = reader.run(run)
    reader.close()
    return run, row["ended"] - row["started"]


def killed_until_done(recipe: Recipe, home: Path, delays: list[float]) -> tuple[str, list[str]]:
    """A run that is killed after each of ``delays`` seconds, which are used up, and resumed until it is done."""
    run = start(recipe, home)
    moments: list[str] = []
    while status(home, run) != "done":
        process = begin(home, run)
        process.join(delays[0] if delays else None)
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            moments.append(f"{where(home, run)} after {delays.pop(0):.3f} s")
        else:
            assert process.exitcode == 0, f"seed {SEED}, killed at {moments}"
    return run, moments


def check_kills(recipe: Recipe, home: Path, kills: int) -> None:
    """As many runs as it takes for so many kills, each compared with one that was let alone."""
    whole, seconds = uninterrupted(recipe, home)
    rng = random.Random(SEED)
    delays = [rng.uniform(0, 0.6 * seconds) for _ in range(kills)]
    while delays:
        run, moments = killed_until_done(recipe, home, delays)
        told = f"seed {SEED}, killed at {moments}"
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
