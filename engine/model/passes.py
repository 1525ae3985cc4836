"""What holds for a pass through a model: its attention, its products, compiled layers, layers that are recomputed.

Nothing else here reaches into a model. All is put back when the block ends, also by an error, and also inside another
such block, whose own then holds again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Module

from engine.model.compiling import compile_errors_explained
from engine.model.policy import Policy
from engine.model.products import packed_products
from engine.model.recomputing import recomputed_forwards

Forwards = Mapping[Module, Callable[..., Any]]
"""By module: what stands in for its forward."""
Change = tuple[Any, str, Any]
"""An object, the name of an attribute, and its value for a while."""

_OF_CLASS = object()
"""The value of an attribute that an object leaves to its class."""


@contextmanager
def predicting(policy: Policy, *, packed: bool = False) -> Iterator[None]:
    """Inside, the model has no dropout, recomputes nothing, and has the precision it is trained at.

    Args:
        policy: whose model.
        packed: take `packed_products`: let the block hold all steps of a decoding. The weights are not to change
            inside, nor to be copied.
    """
    products = packed_products(policy.model, lower=policy.autocast) if packed else {}
    with (
        _replaced(_of_modules(policy.model, products)),
        torch.autocast(policy.device.type, policy.autocast, enabled=policy.autocast is not None),
    ):
        yield


@contextmanager
def training(model: Any, *, recompute: bool = False, compiled: Forwards | None = None) -> Iterator[None]:
    """Inside, forward and backward passes are made as training makes them: without dropout, as everywhere here.

    Args:
        model: a transformers model.
        recompute: make use of `enable_recomputing`.
        compiled: the model's `compiled_layers`, where they are to be used.

    Raises:
        EnvironmentFault: torch cannot compile on this machine, or not this model.
    """
    forwards = dict(compiled or {})
    if recompute:
        forwards |= recomputed_forwards(model, forwards)
    with _replaced(_of_modules(model, forwards)), compile_errors_explained():
        yield


@contextmanager
def attending(model: Any, attention: str) -> Iterator[None]:
    """Inside, the model's layers attend by the function that transformers knows as ``attention``."""
    with _replaced([(model.get_decoder().config, "_attn_implementation", attention)]):
        yield


def _of_modules(model: Any, forwards: Forwards) -> Iterator[Change]:
    """Evaluation mode, and the forward of every module: its class's unless ``forwards`` has one, whatever held."""
    for module in model.modules():
        yield module, "training", False
        if module in forwards or "forward" in vars(module):
            yield module, "forward", forwards.get(module, _OF_CLASS)


@contextmanager
def _replaced(changes: Iterable[Change]) -> Iterator[None]:
    """Inside, objects have other attributes: the one place that overwrites a model's."""
    before: list[Change] = []
    try:
        for owner, name, value in changes:
            before.append((owner, name, _own(owner, name)))
            _put(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            _put(owner, name, value)


def _own(owner: Any, name: str) -> Any:
    if inspect.isdatadescriptor(getattr(type(owner), name, None)):  # a property's value is stored by another name
        return getattr(owner, name)
    return vars(owner).get(name, _OF_CLASS)


def _put(owner: Any, name: str, value: Any) -> None:
    if value is _OF_CLASS:
        vars(owner).pop(name, None)
    else:
        setattr(owner, name, value)
