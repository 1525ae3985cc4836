"""What a model takes, counted on the model itself run on tensors that have shapes and no memory.

So it holds whatever the architecture, the precision, adapters and checkpointing. All sizes are bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM, DynamicCache

from engine.model.opening.loading import DTYPES
from engine.model.passes import training
from engine.model.policy import cache_keyword
from engine.model.recomputing import enable_recomputing
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Compute, Lora
from engine.runs.checkpoints import AUTOCAST, new_adapter

logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # it tells what is raised anyway
_PROBE = 16
"""Tokens whose keys and values are counted."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model comes to."""

    model: Any
    mode: FakeTensorMode
    """In which the model's weights have shapes and no memory."""
    adapter: Any
    """That of the model, if any: it is gone when nothing refers to it."""
    weights: int
    """Of the model, adapters left out."""
    trained: int
    """Of what training changes: the model, or one adapter."""
    vocabulary: int
    width: int
    """Of hidden states."""
    cache: int
    """Keys and values of one token, of all layers."""
    saved: dict[tuple[int, int, bool, torch.dtype | None], int] = field(default_factory=dict)
    """What passes were found to save."""

    def activations(self, compute: Compute, rows: int, tokens: int) -> int:
        """What a forward pass over ``rows`` of ``tokens`` saves for its backward pass, and what that computes again."""
        lower = AUTOCAST[compute.mixed_precision]
        kept = self._saved_bytes(rows, tokens, False, lower)
        if not compute.gradient_checkpointing:
            return kept
        return self._saved_bytes(rows, tokens, True, lower) + kept // int(self.model.config.num_hidden_layers)

    def _saved_bytes(self, *key: *tuple[int, int, bool, torch.dtype | None]) -> int:
        if key not in self.saved:
            self.saved[key] = self._count_saved(*key)
        return self.saved[key]

    def _count_saved(self, rows: int, tokens: int, recomputed: bool, lower: torch.dtype | None) -> int:
        saved: list[Tensor] = []  # kept alive, or their addresses would be given out again
        weight_addresses = {weight.untyped_storage()._cdata for weight in self.model.parameters()}

        def keep(tensor: Tensor) -> Tensor:
            saved.append(tensor)
            return tensor

        with (
            self.mode,
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", lower, enabled=lower is not None),
            training(self.model, recompute=recomputed),
        ):
            _pass(self.model, rows, tokens, lower)
        storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in saved}
        return sum(size for address, size in storages.items() if address not in weight_addresses)


_COUNTED: dict[tuple[str, str, Lora], Footprint] = {}
"""Of this process's models: the arms of a launch share one."""


def footprint(config: Any, recipe: Recipe) -> Footprint:
    """That of a model with transformers' ``config``, as ``recipe`` holds it; takes a second or two, and no memory."""
    key = repr(config), recipe.model.dtype, recipe.lora
    if key not in _COUNTED:
        _COUNTED[key] = _count(config, recipe)
    return _COUNTED[key]


def _count(config: Any, recipe: Recipe) -> Footprint:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[recipe.model.dtype]).eval()
        weights = _bytes(model.parameters())
        adapter = new_adapter(model, recipe) if recipe.lora.rank else None
        trained = _bytes(adapter.parameters) if adapter else weights
    enable_recomputing(model)
    vocabulary, width = model.get_output_embeddings().weight.shape
    with FakeTensorMode() as mode:
        _give_shapes(model)
        cache = DynamicCache()
        decoder = model.get_decoder()
        named = {cache_keyword(decoder): cache}
        decoder(input_ids=torch.zeros(1, _PROBE, dtype=torch.long), use_cache=True, **named)
        cache_bytes = _bytes(tensor for layer in cache.layers for tensor in (layer.keys, layer.values))
    return Footprint(model, mode, adapter, weights, trained, vocabulary, width, cache_bytes // _PROBE)


def _pass(model: Any, rows: int, tokens: int, lower: torch.dtype | None) -> None:
    model.get_decoder()(
        input_ids=torch.zeros(rows, tokens, dtype=torch.long),
        position_ids=torch.arange(tokens)[None].expand(rows, -1),
        attention_mask=torch.zeros(rows, 1, tokens, tokens, dtype=lower or model.dtype),
        use_cache=False,
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _give_shapes(model: Any) -> None:
    """Replace weights on the device ``meta`` by such as pretend to be on the CPU, with the attention of the CPU."""
    pretended: dict[int, Tensor] = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    table[name] = pretended.setdefault(id(tensor), _pretend(tensor))


def _pretend(tensor: Tensor) -> Tensor:
    shaped = torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.nn.Parameter(shaped, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else shaped
