"""Runs that draw an update ahead, killed and stopped at different moments, go on to the same bits and records."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.recipe.recipe import Recipe
from engine.store.reader import Reader
from tests.engine.engines import Script, begin, fingerprint, finish, records, start, status
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow

SETTINGS = {
    "rlvr.ahead": 1,
    "rlvr.updates": 5,
    "rlvr.curriculum": "pass_rate",
    "rlvr.kl": 0.5,
    "rlvr.reward": "weighted",
    "rlvr.partial_updates": 3,
    "rlvr.group_size": 4,
    "rlvr.max_resamples": 2,
    "checkpoints.every": 2,
}


def ahead_recipe(folder: Path) -> Recipe:
    return small_recipe(folder, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"rlvr"'}).with_values(SETTINGS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, str]:
    """One that nothing interrupted."""
    home = tmp_path_factory.mktemp("whole")
    recipe = ahead_recipe(home)
    run = start(recipe, home)
    finish(home, run)
    return recipe, home, run


MOMENTS = {
    "behind the first update": (("rlvr", 1), "updates"),
    "behind an update that was not written down": (("rlvr", 3), "updates"),
    "behind the last that drew": (("rlvr", 4), "updates"),
    "as the first samples are drawn": (("rlvr", 1), "samples"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_goes_on_to_the_same_bits(moment: str, whole: tuple[Recipe, Path, str], tmp_path: Path) -> None:
    recipe, home, uninterrupted = whole
    run = start(recipe, tmp_path)
    kill, unit = MOMENTS[moment]
    process = begin(tmp_path, run, Script(tmp_path, run, kill=kill, unit=unit))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    finish(tmp_path, run)
    assert fingerprint(tmp_path, run) == fingerprint(home, uninterrupted)
    assert records(tmp_path, run) == records(home, uninterrupted)


@pytest.mark.parametrize("update", [1, 4])
def test_a_stopped_run_goes_on_to_the_same_bits_and_draws_nothing_twice(
    update: int, whole: tuple[Recipe, Path, str], tmp_path: Path
) -> None:
    """It is stopped where the update behind is drawn: what was drawn ahead before that is in its checkpoint."""
    recipe, home, uninterrupted = whole
    run = start(recipe, tmp_path)
    process = begin(tmp_path, run, Script(tmp_path, run, {("rlvr", update): ("stop",)}))
    process.join()
    assert status(tmp_path, run) == "stopped"
    reader = Reader(tmp_path)
    assert reader.run(run)["step"] >= update
    reader.close()
    finish(tmp_path, run)
    assert fingerprint(tmp_path, run) == fingerprint(home, uninterrupted)
    assert records(tmp_path, run) == records(home, uninterrupted)
