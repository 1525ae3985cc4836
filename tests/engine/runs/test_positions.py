"""What is longer than a model has positions for is told before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.decoding.sampler import generate
from engine.errors import EnvironmentFault
from engine.runs.corpus import read_traces
from engine.runs.positions import annotated_length, check_positions
from tests.engine.small import small_recipe
from tests.engine.tiny import encoded, prompts, tiny_policy


@pytest.mark.parametrize(
    ("stages", "key"),
    [(("ntp",), "corpus.max_tokens"), (("rlvr",), "rlvr.max_new_tokens"), (("eval",), "eval.max_new_tokens")],
)
def test_each_stage_names_the_key_that_asks_for_too_much(tmp_path: Path, stages: tuple[str, ...], key: str) -> None:
    recipe = small_recipe(tmp_path)
    with pytest.raises(EnvironmentFault, match=f"^{key} = .* positions for 40") as caught:
        check_positions(replace(tiny_policy(), max_positions=40), recipe, stages)
    assert "\n" not in str(caught.value)
    check_positions(replace(tiny_policy(), max_positions=4096), recipe, stages)
    check_positions(tiny_policy(), recipe, stages)


def test_traces_that_would_be_too_long_once_annotated_are_left_out(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    pairs, _ = read_traces(tiny_policy(), recipe)
    lengths = [annotated_length(trace, recipe.ra3.max_latent_tokens) for _, trace in pairs]
    fitting, notes = read_traces(replace(tiny_policy(), max_positions=max(lengths) - 1), recipe)
    assert len(fitting) == sum(length < max(lengths) for length in lengths)
    assert "positions once annotated" in notes[1]


def test_the_annotated_length_counts_every_prefix_and_latent() -> None:
    trace = encoded()[0]
    gates = [gate for gate in trace.gates if gate]
    bare = len(trace.prompt) + sum(map(len, trace.lines))
    assert annotated_length(trace, 7) == bare + sum(map(len, gates)) + 7 * len(gates)


def test_a_sequence_that_outgrows_the_positions_ends_in_one_line() -> None:
    ids = prompts()[2]
    fits = replace(tiny_policy(), max_positions=len(ids) + 3)
    assert len(generate(fits, [ids], [0], max_new_tokens=4)[0].ids) == 4
    with pytest.raises(EnvironmentFault, match=f"came to {len(ids) + 4} tokens"):
        generate(fits, [ids], [0], max_new_tokens=5)
