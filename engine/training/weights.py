"""Where a trainer keeps the weights it changes: in the policy itself, or sharded over the ranks (FSDP).

Outside an update every rank has the whole policy, so that sampling, scoring and checkpoints know nothing of shards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import Batch
from engine.processes.ranks import Ranks

OptimiserState = dict[str, Any]
"""The ``state_dict`` of a torch optimiser."""


class Replica:
    """Every rank trains the whole policy, and adds up the gradients."""

    def __init__(self, policy: Policy, ranks: Ranks) -> None:
        self._policy = policy
        self._ranks = ranks
        self.model: Any = policy.model
        policy.decoder()  # its own weights are to be those that want a gradient
        self.parameters: list[torch.nn.Parameter] = policy.parameters

    scale = 1.0
    """What a loss is multiplied with for the gradient of the sum over all ranks."""

    def idle_passes(self, batches: int) -> int:
        """Passes without a share that this rank makes beside the others', where an update has so many ``batches``."""
        del batches
        return 0

    def logprobs(self, batch: Batch) -> Tensor:
        """[N] as `model.logprobs`."""
        return logprobs(self._policy, batch)

    def take(self) -> None:
        """Begin an update with the policy's weights."""

    def add_up_gradients(self) -> None:
        """*Collective.* Make every rank's gradient that of all micro-batches."""
        if self._ranks.size > 1:
            for weight in self.parameters:
                if weight.grad is None:  # there was no micro-batch for this rank
                    weight.grad = torch.zeros_like(weight)
            self._ranks.add_up([weight.grad for weight in self.parameters if weight.grad is not None])

    def give(self) -> None:
        """*Collective.* End an update with the policy's weights."""

    def whole(self, state: OptimiserState) -> OptimiserState:
        """*Collective.* The optimiser's state as one process would have it; it counts on the first rank alone."""
        return state

    def part(self, state: OptimiserState) -> OptimiserState:
        """This rank's part of what `whole` gave."""
        return state


class Shards(Replica):
    """Each rank trains a part of every weight: of its gradient and its optimiser's state it has no more than that.

    A layer's weights are put together for its forward and its backward pass alone, which therefore all ranks make at
    the same time.
    """

    def __init__(self, policy: Policy, ranks: Ranks) -> None:
        super().__init__(policy, ranks)
        self.model = copy.deepcopy(policy.model)
        mesh = init_device_mesh(policy.device.type, (ranks.size,))
        kept_whole = set(policy.model._no_split_modules or ())
        for module in list(self.model.modules()):
            if type(module).__name__ in kept_whole:
                fully_shard(module, mesh=mesh)
        self._root = _Logprobs(replace(policy, model=self.model))
        fully_shard(self._root, mesh=mesh)
        self.parameters = list(self._root.parameters())
        self.scale = float(ranks.size)  # gradients are averaged

    def idle_passes(self, batches: int) -> int:
        """One, where the last round of micro-batches is too short for this rank."""
        return int(0 < batches % self._ranks.size <= self._ranks.rank)

    def logprobs(self, batch: Batch) -> Tensor:
        """*Collective.* [N] as `model.logprobs`."""
        found: Tensor = self._root(batch)
        return found

    @torch.no_grad()
    def take(self) -> None:
        """Cut this rank's parts out of the policy."""
        for part, weight in zip(self.parameters, self._policy.parameters, strict=True):
            part.copy_(_cut(weight, part))

    def add_up_gradients(self) -> None:
        """They have been, in the backward passes."""

    @torch.no_grad()
    def give(self) -> None:
        """Put the policy together."""
        for part, weight in zip(self.parameters, self._policy.parameters, strict=True):
            weight.copy_(_put_together(part))

    def whole(self, state: OptimiserState) -> OptimiserState:
        """Tensor by tensor, so that no GPU ever holds more than one whole."""

        def gathered(_: int, tensor: Tensor) -> Tensor | None:
            found = _put_together(tensor).cpu()
            return found if self._ranks.first else None

        return _mapped(state, gathered)

    def part(self, state: OptimiserState) -> OptimiserState:
        """Moments are cut as the weight they belong to."""

        def cut(index: int, tensor: Tensor) -> Tensor:
            like = self.parameters[index]
            return _cut(tensor.to(like.device), like) if tensor.shape == like.shape else tensor

        return _mapped(state, cut)


class _Logprobs(torch.nn.Module):
    """A policy's log-probabilities as a forward pass, around which weights can be put together."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.model = policy.model
        self._policy = policy

    def forward(self, batch: Batch) -> Tensor:
        return logprobs(self._policy, batch)


def _cut(whole: Tensor, like: Tensor) -> Tensor:
    """``whole``, which every rank has, sharded as ``like``."""
    assert isinstance(like, DTensor)  # noqa: S101 - what fully_shard makes of a parameter
    cut: Tensor = distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
    return cut


def _put_together(part: Tensor) -> Tensor:
    whole: Tensor = part.full_tensor() if isinstance(part, DTensor) else part
    return whole


def _mapped(state: OptimiserState, change: Callable[[int, Tensor], Tensor | None]) -> OptimiserState:
    """An optimiser's state with each of its tensors changed, given the number of the parameter it belongs to."""
    changed = {
        index: {name: change(index, value) if isinstance(value, Tensor) else value for name, value in entry.items()}
        for index, entry in state["state"].items()
    }
    return {**state, "state": changed}
