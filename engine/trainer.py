"""One update from packed trees. It knows of targets and coefficients, and nothing of where they came from."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from engine import recipe
from engine.memory import enable_recomputing, recomputing
from engine.packing import Batch, Target, Tree, collate, logprobs, pack
from engine.policy import Policy


@dataclass(frozen=True, slots=True)
class Clip:
    """Bounds of the probability ratio: 1 - low to 1 + high."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Update:
    """What one update did."""

    loss: float
    """Mean loss a target."""
    grad_norm: float
    """Global norm before clipping; not finite where the update was skipped."""
    learning_rate: float
    mean_logprob: dict[str, float]
    """Mean log-probability of the targets of each label, in nats, before the update."""
    clip_fraction: float
    """Share of the ratios that were clipped."""
    tokens: int
    """Nodes that went through the model."""

    @property
    def skipped(self) -> bool:
        """Was the gradient not finite, so that the weights were left alone?"""
        return not math.isfinite(self.grad_norm)


def surrogate(logprobs_N: Tensor, old_N: Tensor, coefficients_N: Tensor, clip: Clip) -> tuple[Tensor, Tensor]:
    """Loss a target, [N], and whether its ratio was clipped, [N] bool.

    Without an old log-probability (NaN) it is ``-coefficient * logprob``, whose gradient is that of maximum likelihood
    or of REINFORCE. With one it is PPO's clipped ratio (Schulman et al., 2017), its upper bound free (DAPO, 2025).
    """
    on_ratio = ~old_N.isnan()
    ratio = torch.exp(logprobs_N - torch.where(on_ratio, old_N, logprobs_N.detach()))
    bounded = ratio.clamp(1 - clip.low, 1 + clip.high)
    gain = torch.minimum(ratio * coefficients_N, bounded * coefficients_N)
    loss = torch.where(on_ratio, -gain, -coefficients_N * logprobs_N)
    clipped = on_ratio & (ratio * coefficients_N > bounded * coefficients_N)
    return loss, clipped


class _Logprobs(torch.nn.Module):
    """The policy's log-probabilities as a forward pass, which accelerate can wrap for precision and processes."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.model = policy.model
        self._policy = policy

    def forward(self, batch: Batch) -> Tensor:
        return logprobs(self._policy, batch)


class Trainer:
    """Updates a policy with AdamW on packed trees, through accelerate."""

    def __init__(
        self, policy: Policy, optimiser: recipe.Optimiser, compute: recipe.Compute, accelerator: Accelerator
    ) -> None:
        self._settings = optimiser
        self._compute = compute
        self._accelerator = accelerator
        self._updates = 0
        accelerator.free_memory()  # it would hold the weights and moments of trainers before this one
        if compute.gradient_checkpointing:
            enable_recomputing(policy.model)
        self._model = policy.model
        policy.decoder()  # its own weights are to be those that want a gradient
        adam = torch.optim.AdamW(
            policy.parameters,
            lr=optimiser.learning_rate,
            betas=(optimiser.beta1, optimiser.beta2),
            weight_decay=optimiser.weight_decay,
        )
        self._module, self._adam = accelerator.prepare(_Logprobs(policy), adam)

    def update(self, trees: Sequence[Tree], clip: Clip | None = None) -> Update:
        """Take one step on the mean loss over all targets of ``trees``.

        A gradient that is not finite leaves weights and optimiser as they are, and the result says so.
        """
        rate = self._set_learning_rate()
        total = sum(len(tree.targets) for tree in trees)
        batches = [batch for batch, _ in micro_batches(trees, self._compute)]
        tally = _Tally()
        with recomputing(self._model):
            for batch in batches[:-1]:
                with self._accelerator.no_sync(self._module):
                    self._backward(batch, total, clip, tally)
            self._backward(batches[-1], total, clip, tally)
        return Update(
            loss=tally.loss / total,
            grad_norm=self._step(),
            learning_rate=rate,
            mean_logprob=tally.mean_logprob(),
            clip_fraction=tally.clipped / total,
            tokens=sum(len(tree.ids) for tree in trees),
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed trainer needs beside the weights."""
        return {"adam": self._adam.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self._adam.load_state_dict(state["adam"])
        self._updates = state["updates"]

    def _backward(self, batch: Batch, total: int, clip: Clip | None, tally: _Tally) -> None:
        batch = batch.to(self._accelerator.device)
        with self._accelerator.autocast():
            logprobs_N = self._module(batch)
        bounds = clip or Clip(math.inf, math.inf)
        old, coefficients = batch.old, batch.coefficients
        loss, clipped = surrogate(logprobs_N, old, coefficients, bounds)
        self._accelerator.backward(loss.sum() / total)
        tally.add(batch.targets, logprobs_N.detach(), float(loss.detach().sum()), int(clipped.sum()))

    def _set_learning_rate(self) -> float:
        warmup = self._settings.warmup_steps
        rate = self._settings.learning_rate * min(1.0, (self._updates + 1) / (warmup + 1))
        for group in self._adam.param_groups:
            group["lr"] = rate
        return rate

    def _step(self) -> float:
        """Apply the gradient where it is finite; returns its norm before clipping."""
        norm = float(self._accelerator.clip_grad_norm_(self._module.parameters(), self._settings.max_grad_norm))
        if math.isfinite(norm):
            self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self._updates += 1
        return norm


class _Tally:
    """Sums over the micro-batches of one update."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.clipped = 0
        self._logprobs: dict[str, list[float]] = defaultdict(list)

    def add(self, targets: Sequence[Target], logprobs_N: Tensor, loss: float, clipped: int) -> None:
        self.loss += loss
        self.clipped += clipped
        for target, value in zip(targets, logprobs_N.tolist(), strict=True):
            self._logprobs[target.label].append(value)

    def mean_logprob(self) -> dict[str, float]:
        return {label: sum(values) / len(values) for label, values in self._logprobs.items()}


def micro_batches(trees: Sequence[Tree], compute: recipe.Compute) -> Iterator[tuple[Batch, list[Tree]]]:
    """What goes through the model one after the other: packed tensors, and the trees in the order of their targets."""
    rows = pack([len(tree.ids) for tree in trees], compute.row_tokens)
    for i in range(0, len(rows), compute.micro_rows):
        packed = [[trees[index] for index in row] for row in rows[i : i + compute.micro_rows]]
        yield collate(packed), [tree for row in packed for tree in row]


@torch.no_grad()
def score(policy: Policy, trees: Sequence[Tree], compute: recipe.Compute) -> list[list[float]]:
    """Log-probabilities of each tree's targets under ``policy``, in nats, in the order of ``trees``."""
    found: dict[int, list[float]] = {}
    with policy.predicting():
        for batch, packed in micro_batches(trees, compute):
            values = iter(logprobs(policy, batch.to(policy.device)).tolist())
            found |= {id(tree): list(islice(values, len(tree.targets))) for tree in packed}
    return [found[id(tree)] for tree in trees]
