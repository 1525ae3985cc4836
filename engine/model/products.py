"""Matrix products from weights made ready for them beforehand, while nothing is trained.

A decoding step multiplies a few tokens by every weight of the model, so that what is done to the weights first is most
of the work. On a CPU BLAS lays them out anew in each call, which oneDNN can do once; under autocast they are cast anew,
as torch 2.13 keeps no casts in inference mode. So a decoding takes a copy of the weights for as long as it lasts: no
more memory than their gradients take in training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter
from torch.nn.functional import linear


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


class LowerProduct:
    """A linear layer's product under autocast, from a copy of its weights in that precision: to the bit the same."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        self._layer = layer
        self._weight: Tensor = layer.weight.detach().to(dtype)
        self._bias: Tensor | None = None if layer.bias is None else layer.bias.detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias`` of x [..., inputs], which autocast casts; where a model turns that off, as it is."""
        if torch.is_autocast_enabled(x.device.type):
            return linear(x, self._weight, self._bias)
        return linear(x, self._layer.weight, self._layer.bias)


def packed_products(model: Any, *, lower: torch.dtype | None) -> dict[Module, PackedProduct | LowerProduct]:
    """What may stand in for the forwards of the model's float32 layers, and of its head, whatever its type.

    In float32 they differ from the usual products by rounding; on other devices than a CPU, and where torch comes
    without oneDNN, there are none of these.

    Args:
        model: a transformers model with a language-modelling head.
        lower: the precision of autocast where the layers are multiplied, but not the head.
    """
    layers = [module for module in model.get_decoder().modules() if _is_plain(module)]
    head = model.get_output_embeddings()
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    plain = onednn and head.weight.device.type == "cpu" and type(head.weight) is Parameter
    if lower is not None:
        of_layers: dict[Module, PackedProduct | LowerProduct] = {layer: LowerProduct(layer, lower) for layer in layers}
    else:
        of_layers = {layer: PackedProduct(layer) for layer in layers if plain}
    return of_layers | ({head: PackedProduct(head)} if plain else {})


def _is_plain(module: Module) -> bool:
    """Is it a linear layer in float32, whole and here? A subclass may do more; other types have their own kernels."""
    return type(module) is Linear and type(module.weight) is Parameter and module.weight.dtype is torch.float32
