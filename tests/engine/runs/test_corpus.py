"""What is held out of a corpus is measured on, and never trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.corpora.sources import corpus_of
from engine.pipeline import execute
from engine.recipe.recipe import Arm, Recipe
from engine.runs.corpus import hold_out, read_traces
from engine.runs.planning import plan
from engine.runs.progress import Silent
from tests.engine.engines import fingerprint
from tests.engine.small import FUNCTIONS, small_recipe
from tests.engine.tiny import tiny_policy

pytestmark = pytest.mark.slow


def trained(recipe: Recipe, home: Path, stage: str) -> str:
    """Fingerprint of the weights that ``stage`` leaves."""
    arms = {"all": Arm.model_validate({"stages": [stage]})}
    run = plan(recipe.model_copy(update={"arms": arms}), home).runs[0].id
    (outcome,) = execute(home, [run], Silent())
    assert outcome.status == "done", outcome.error
    return fingerprint(home, run)


@pytest.mark.parametrize("stage", ["ntp", "ra3"])
def test_weights_are_those_of_a_corpus_that_never_had_what_is_held_out(stage: str, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    ours = trained(recipe, tmp_path / "held out", stage)
    name = corpus_of(recipe).traces[0].id.split("::")[1].split(":")[0]
    parts = FUNCTIONS.split("\n\n\n")
    kept = ["\n" * part.count("\n") if f"def {name}(" in part else part for part in parts]  # all on their lines
    assert kept != parts
    (tmp_path / "corpus" / "functions.py").write_text("\n\n\n".join(kept))
    without = recipe.with_values({"corpus.held_out": 0})
    assert trained(without, tmp_path / "never had", stage) == ours


def test_the_first_traces_of_a_corpus_are_held_out(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path).with_values({"corpus.held_out": 3})
    pairs, _ = read_traces(tiny_policy(), recipe)
    to_train, held_out = hold_out(pairs, recipe.corpus)
    assert (to_train, held_out) == (pairs[3:], pairs[:3])
