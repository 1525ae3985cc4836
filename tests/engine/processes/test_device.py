"""The device and the precision a recipe comes to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from engine.processes.device import open_accelerator, precision, precision_words, resolved
from engine.processes.ranks import Ranks
from engine.recipe.files import parse_recipe
from engine.recipe.recipe import Recipe
from engine.runs.checkpoints import open_policy

TEXT = 'name = "x"\nmodel.id = "random:tiny"\narms.all.stages = ["eval"]\ncompute.device = "cpu"\n'


def recipe(more: str = "") -> Recipe:
    return parse_recipe(TEXT + more, "test")


@pytest.fixture(params=[True, False])
def bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Does the GPU have bfloat16 of its own?"""
    has = bool(request.param)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has or including_emulation)
    return has


def test_auto_is_bfloat16_on_a_gpu_that_has_it_and_float32_elsewhere(bf16: bool) -> None:
    assert precision(recipe(), on_gpu=True) == ("bf16" if bf16 else "no")
    assert precision(recipe(), on_gpu=False) == "no"


@pytest.mark.parametrize("wanted", ["no", "bf16"])
def test_what_the_recipe_says_holds_on_any_device(wanted: str, bf16: bool) -> None:
    said = recipe(f"compute.mixed_precision = '{wanted}'\n")
    assert [precision(said, on_gpu=on_gpu) for on_gpu in (True, False)] == [wanted, wanted]


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_half_precision_are_taken_as_they_are(dtype: str) -> None:
    assert precision(recipe(f"model.dtype = '{dtype}'\n"), on_gpu=True) == "no"


@pytest.mark.parametrize(("wanted", "autocast"), [("auto", None), ("no", None), ("bf16", torch.bfloat16)])
def test_a_run_goes_on_with_what_auto_came_to(wanted: str, autocast: torch.dtype | None) -> None:
    said = recipe(f"compute.mixed_precision = '{wanted}'\n")
    accelerator = open_accelerator(said, Ranks())
    actual = resolved(said, accelerator)
    assert actual.compute.mixed_precision == ("no" if wanted == "auto" else wanted)
    assert actual.compute == said.compute.model_copy(update={"mixed_precision": actual.compute.mixed_precision})
    assert open_policy(actual, None, "cpu").autocast is autocast


@pytest.mark.parametrize(
    ("wanted", "device", "chosen", "words"),
    [
        ("auto", "cuda", "bf16", "bfloat16 autocast, TF32 for what stays in float32"),
        ("auto", "cuda", "no", "everything in float32, TF32 for products in float32"),
        ("no", "cuda", "no", "everything in float32, no TF32"),
        ("bf16", "cpu", "bf16", "bfloat16 autocast"),
        ("auto", "cpu", "no", "everything in float32"),
    ],
)
def test_the_precision_is_told_in_words(wanted: str, device: str, chosen: str, words: str) -> None:
    accelerator = SimpleNamespace(device=torch.device(device), mixed_precision=chosen)
    assert precision_words(recipe(f"compute.mixed_precision = '{wanted}'\n"), accelerator) == words  # type: ignore[arg-type]
