"""Matrix products on a CPU from weights laid out for them beforehand, while nothing is trained.

A decoding step multiplies a few tokens by every weight of the model. BLAS lays the weights out anew in each call, which
for few tokens is most of the work; oneDNN can do it once. So a decoding takes a copy of the weights for as long as it
lasts: no more memory than their gradients take in training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter


class PackedProduct:
    """A linear layer's product in float32, from a copy of its weights; it has no gradient."""

    def __init__(self, layer: Any) -> None:
        weight = layer.weight.detach().float()
        self._packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self._bias: Tensor | None = None if layer.bias is None else layer.bias.detach().float()

    def __call__(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias``, float32 [..., outputs] of x [..., inputs]."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x.float(), self._packed, self._bias, "none", [], "")
        return result


def packed_products(model: Any, *, head_only: bool) -> dict[Module, PackedProduct]:
    """What may stand in for the forwards of the model's float32 layers, and of its head, whatever its type.

    They differ from the usual products by rounding. On other devices than a CPU, and where torch comes without oneDNN,
    there are none.

    Args:
        model: a transformers model with a language-modelling head.
        head_only: leave out the layers, as where they are multiplied in a lower precision.
    """
    head = model.get_output_embeddings()
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not onednn or head.weight.device.type != "cpu" or type(head.weight) is not Parameter:
        return {}
    layers = [] if head_only else [module for module in model.get_decoder().modules() if _is_plain(module)]
    return {layer: PackedProduct(layer) for layer in (head, *layers)}


def _is_plain(module: Module) -> bool:
    """Is it a linear layer in float32, whole and here? A subclass may do more; other types have their own kernels."""
    return type(module) is Linear and type(module.weight) is Parameter and module.weight.dtype is torch.float32
