"""The memory estimate: counted parts against real ones at tiny size, and what a person is told."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from engine.model.lora import Adapter
from engine.recipe.files import parse_recipe
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Lora
from engine.runs.estimate import needs as estimate
from engine.runs.estimate.footprint import Footprint, footprint
from engine.runs.estimate.needs import needs, tell
from tests.engine.tiny import tiny_policy

TEXT = """
name = "sized"
model.id = "random:tiny"
compute.row_tokens = 64
arms.all.stages = ["eval", "ntp", "ra3", "rlvr"]
"""


def sized(more: str = "") -> tuple[Footprint, Recipe]:
    recipe = parse_recipe(TEXT + more, "test")
    return footprint(tiny_policy().model.config, recipe), recipe


def really_saved(rows: int, tokens: int, rank: int | None) -> int:
    """Bytes of all that a real forward pass keeps, weights left out."""
    policy = tiny_policy().clone()
    if rank:
        policy.adapter = Adapter.on(policy.model, Lora(rank=rank), 0)
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    ids = torch.zeros(rows, tokens, dtype=torch.long)
    positions = torch.arange(tokens)[None].expand(rows, -1)
    mask = torch.ones(rows, 1, tokens, tokens, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.hidden(ids, positions, mask)
    own = {weight.data_ptr() for weight in policy.model.parameters()}
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in saved}
    return sum(size for address, size in storages.items() if address not in own)


@pytest.mark.parametrize(("rows", "tokens", "rank"), [(1, 16, None), (2, 48, None), (1, 32, 2)])
def test_what_a_pass_keeps_is_counted_on_tensors_without_memory(rows: int, tokens: int, rank: int | None) -> None:
    model, recipe = sized(f"lora.rank = {rank}\n" if rank else "")
    really = pytest.approx(really_saved(rows, tokens, rank), rel=0.05 if rank else 0)
    assert model.activations(recipe.compute, rows, tokens) == really


def test_another_model_or_precision_is_counted_anew() -> None:
    model, recipe = sized()
    deeper = copy.deepcopy(tiny_policy().model.config)
    deeper.num_hidden_layers *= 2
    assert footprint(deeper, recipe).cache == 2 * model.cache
    assert sized()[0] is model
    half, lower = sized('model.dtype = "bfloat16"\ncompute.mixed_precision = "bf16"\n')
    assert half.weights == model.weights // 2
    kept = [model.activations(one.compute, 1, 64) for one in (recipe, lower)]
    assert kept[1] < kept[0]


def test_weights_and_cache_are_those_of_the_model() -> None:
    model, _ = sized()
    config = tiny_policy().model.config
    assert model.weights == model.trained == 4 * tiny_policy().n_parameters
    assert model.cache == 2 * 4 * config.num_hidden_layers * config.num_key_value_heads * 16
    assert (model.vocabulary, model.width) == (tiny_policy().vocab_size, 64)


@pytest.mark.medium
def test_checkpointing_and_adapters_make_it_less_where_they_do() -> None:
    plain, recipe = sized()
    _, recomputing = sized("compute.gradient_checkpointing = true\n")
    adapted, small = sized("lora.rank = 2\n")
    assert plain.activations(recomputing.compute, 1, 64) < 0.7 * plain.activations(recipe.compute, 1, 64)
    assert adapted.trained < 0.2 * plain.trained
    of = {need.stage: need.parts for need in needs(plain, recipe)}
    less = {need.stage: need.parts for need in needs(adapted, small)}
    assert of["ra3"]["q and scorer"] == plain.weights
    assert less["ra3"]["q and scorer"] == adapted.trained
    assert of["ntp"]["moments"] == 2 * of["ntp"]["gradients"] == 2 * plain.weights
    assert set(of["eval"]) == {"weights", "weights for decoding", "cache", "drawing"}


def test_a_running_mean_is_one_copy_more() -> None:
    frozen, recipe = sized()
    ema, other = sized('ra3.estep.scorer = "ema"\n')
    copies = [needs(m, r)[2].parts["q and scorer"] for m, r in ((frozen, recipe), (ema, other))]
    assert copies == [frozen.weights, 2 * frozen.weights]


def test_a_pull_towards_the_start_is_one_copy_more() -> None:
    (plain, recipe), (pulled, other) = sized(), sized("[rlvr]\nkl = 0.1\n")
    free, held = needs(plain, recipe), needs(pulled, other)
    (rlvr,) = [i for i, need in enumerate(held) if need.stage == "rlvr"]
    assert held[rlvr].parts["start"] == pulled.weights
    assert held[rlvr].total == free[rlvr].total + pulled.weights


@pytest.mark.parametrize(("device", "more"), [("cuda", ""), ("cpu", ""), ("cuda", "lora.rank = 2\n")])
def test_a_copy_that_draws_beside_training_is_needed_at_the_same_time_where_there_is_one(
    device: str, more: str
) -> None:
    (plain, recipe), (_, other) = sized(more), sized(f"{more}[rlvr]\nahead = 1\n")
    now, ahead = needs(plain, recipe, device), needs(plain, other, device)
    (rlvr,) = [i for i, need in enumerate(ahead) if need.stage == "rlvr"]
    if device == "cpu" or more:
        assert ahead[rlvr] == now[rlvr]
    else:
        assert ahead[rlvr].parts["sampler"] == plain.weights
        assert {"gradients", "moments", "activations", "cache", "weights for decoding"} <= set(ahead[rlvr].parts)


@pytest.mark.parametrize(("free", "level"), [(10**12, "info"), (10**6, "warning")])
def test_a_person_is_told_what_is_needed_and_warned_where_it_does_not_fit(
    free: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "available_memory", lambda: free)
    _, recipe = sized()
    actual, message = tell(tiny_policy().model.config, recipe, torch.device("cpu"))
    assert actual == level
    assert "GB at its peak" in message
    assert ("it will not fit" in message) == (level == "warning")
    assert "\n" not in message
