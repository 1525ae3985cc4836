"""How much memory a run will need at its peak, told before its first step, beside what is free.

Weights, gradients and AdamW's moments are counted, activations and the cache by `footprint`; a few factors are
rounded from measurements (docs/scale.md). All sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from engine.model.logprobs import LOGIT_ROWS
from engine.recipe.recipe import Recipe
from engine.runs.checkpoints import AUTOCAST
from engine.runs.estimate.footprint import Footprint, footprint
from engine.runs.estimate.host import available_memory

_FLOAT = 4
_HEAD_COPIES = 5
"""Tensors as large as a chunk's logits that are alive at once in the head's backward pass."""
_DRAW_COPIES = 8
"""The same while tokens are drawn: probabilities, their sums in float64, the nucleus."""
_PROMPT = 256
"""Tokens a problem's prompt is taken to have."""
_LATENTS = 1.5
"""How many times as long a trace is with its latents."""
_COLUMNS = 256
"""Columns a decoding cache begins with; they double."""

Parts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Need:
    """What a stage needs at its peak, by what it is for."""

    stage: str
    parts: Parts

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_gb(size)}" for name, size in self.parts.items() if size)
        return f"{self.stage} needs about {_gb(self.total)} GB at its peak ({parts})"


def needs(model: Footprint, recipe: Recipe, device: str = "cpu") -> list[Need]:
    """What each stage of the only arm of ``recipe`` needs on a type of device."""
    (arm,) = recipe.arms.values()
    return [_peak(stage, _phases(stage, model, recipe, device)) for stage in dict.fromkeys(arm.stages)]


def tell(config: Any, recipe: Recipe, device: torch.device, *, sharing: int = 1) -> tuple[str, str]:
    """A level, ``info`` or ``warning``, and one line: what the hungriest stage needs, beside what is there for it.

    Args:
        config: transformers' configuration of the model, whose weights are in memory already.
        recipe: of one arm.
        device: where it will run.
        sharing: processes that share what is free.
    """
    try:
        model = footprint(config, recipe)
        most = max(needs(model, recipe, device.type), key=lambda need: need.total)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # numbers
        return "warning", f"how much memory is needed cannot be told for this model: {str(error).splitlines()[0]}"
    room = model.weights + free_memory(device) // sharing
    message = f"{most}; {_gb(room)} GB are there for it on {device}"
    if most.total <= room:
        return "info", message
    return "warning", f"{message}, so that it will not fit: {_advice(most, recipe)}"


def free_memory(device: torch.device) -> int:
    """What this process may still take on ``device``."""
    if device.type != "cuda":
        return available_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def _peak(stage: str, phases: list[Parts]) -> Need:
    return Need(stage, max(phases, key=lambda parts: sum(parts.values())))


def _phases(stage: str, model: Footprint, recipe: Recipe, device: str) -> list[Parts]:
    """What is held in each phase of a stage."""
    alone = {"weights": model.weights + (model.trained if recipe.lora.rank else 0)}
    if stage == "eval":
        return [alone | _sampling(model, recipe, _PROMPT + recipe.eval.max_new_tokens)]
    if stage == "ntp":
        return [alone | _training(model, recipe, recipe.compute.row_tokens)]
    if stage == "rlvr":
        longest = _PROMPT + recipe.rlvr.max_new_tokens
        if recipe.rlvr.kl:
            alone |= {"start": model.trained}
        training, sampling = (
            _training(model, recipe, max(recipe.compute.row_tokens, longest)),
            _sampling(model, recipe, longest),
        )
        if recipe.draws_beside_training(device):
            return [alone | {"sampler": model.weights} | training | sampling]
        return [alone | training, alone | {"moments": 2 * model.trained} | sampling]
    return _em_phases(alone, model, recipe)


def _em_phases(alone: Parts, model: Footprint, recipe: Recipe) -> list[Parts]:
    """The E-step samples and updates q, with its scorer in memory; the M-step updates the policy alone."""
    longest = int(_LATENTS * recipe.corpus.max_tokens)
    row = max(recipe.compute.row_tokens, longest)
    training = _training(model, recipe, row)
    imitating = alone | training
    if recipe.ra3.estep.method == "smc":
        return [imitating, alone | _sampling(model, recipe, longest)]
    others = 1 if recipe.ra3.estep.scorer == "frozen" else 2
    together = alone | {"q and scorer": others * model.trained}
    return [
        imitating,
        together | training,
        together | {"moments": 2 * model.trained} | _sampling(model, recipe, longest),
    ]


def _training(model: Footprint, recipe: Recipe, row_tokens: int) -> Parts:
    tokens = recipe.compute.micro_rows * row_tokens
    head = 0 if recipe.lora.rank else _FLOAT * model.vocabulary * model.width
    return {
        "gradients": model.trained,
        "moments": 2 * model.trained,
        "activations": model.activations(recipe.compute, recipe.compute.micro_rows, row_tokens),
        "logits": _HEAD_COPIES * _FLOAT * min(LOGIT_ROWS, tokens) * model.vocabulary + head,
    }


def _sampling(model: Footprint, recipe: Recipe, tokens: int) -> Parts:
    compute = recipe.compute
    columns = _COLUMNS
    while columns < tokens:
        columns *= 2
    return {
        "weights for decoding": model.weights if AUTOCAST[compute.mixed_precision] is None else model.weights // 2,
        "cache": compute.decode_batch * columns * model.cache,
        "drawing": _DRAW_COPIES * _FLOAT * compute.decode_batch * model.vocabulary,
    }


def _advice(need: Need, recipe: Recipe) -> str:
    """What to change, by what takes most."""
    largest = max(need.parts, key=lambda name: need.parts[name])
    if largest in ("activations", "logits"):
        less = "lower compute.micro_rows or compute.row_tokens"
        return less if recipe.compute.gradient_checkpointing else f"set compute.gradient_checkpointing=true, or {less}"
    if largest in ("cache", "drawing"):
        return "lower compute.decode_batch or max_new_tokens"
    return "take a smaller model" if recipe.lora.rank else "train adapters (lora.rank=16), or take a smaller model"


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f}"
