"""Matrix products on a CPU from weights laid out for them beforehand, while nothing is trained.

A decoding step multiplies a few tokens by every weight of the model. BLAS lays the weights out anew in each call, which
for few tokens is most of the work; oneDNN can do it once. So a decoding takes a copy of the weights for as long as it
lasts: no more memory than their gradients take in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn import Linear, Parameter

from engine.model.policy import Policy


@contextmanager
def prepacked(policy: Policy) -> Iterator[None]:
    """Inside, the policy's float32 products on a CPU are oneDNN's, and have no gradient.

    They differ from the usual ones by rounding. Its weights are not to change inside, nor to be copied. On other
    devices, and where torch comes without oneDNN, nothing changes.
    """
    layers: list[Linear] = []
    head = policy.model.get_output_embeddings()
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    packs = onednn and policy.device.type == "cpu" and type(head.weight) is Parameter
    try:
        if packs:
            policy.head = _product(head.weight.float(), head.bias)
            layers = [] if policy.autocast else [m for m in policy.decoder().modules() if _is_plain(m)]
        for layer in layers:
            layer.__dict__["forward"] = _product(layer.weight, layer.bias)
        yield
    finally:
        policy.head = None
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _is_plain(module: torch.nn.Module) -> bool:
    """Is it a linear layer in float32, whole and here? A subclass may do more; other types have their own kernels."""
    return type(module) is Linear and type(module.weight) is Parameter and module.weight.dtype is torch.float32


def _product(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """``x @ weight.T + bias`` in float32, from a copy of ``weight``."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    return partial(_multiply, packed=packed, bias=None if bias is None else bias.detach().float())


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return result
