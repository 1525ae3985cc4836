"""One update from packed tries. It knows of targets and coefficients, and nothing of where they came from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.tensor import DTensor

from engine.model.compiling import compiled_layers
from engine.model.passes import training
from engine.model.policy import Policy
from engine.model.recomputing import enable_recomputing
from engine.model.transfers import fetched
from engine.model.tries import Batch, Trie, collate
from engine.processes.ranks import Ranks
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard, narrower
from engine.training.scoring import micro_batches
from engine.training.weights import OptimiserState, Replica, Shards


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


class TrainerState(TypedDict):
    """What a resumed trainer needs beside the weights."""

    adam: OptimiserState
    updates: int
    """How many it has taken."""


class Trainer:
    """Updates a policy with AdamW on packed tries. Several ranks share the micro-batches of an update."""

    def __init__(
        self,
        policy: Policy,
        optimiser: Optimiser,
        memory: MemoryGuard,
        accelerator: Accelerator,
        ranks: Ranks | None = None,
    ) -> None:
        compute = memory.compute
        self.optimiser = optimiser
        """Settings of the coming updates; its rates may be changed between two of them."""
        self._memory = memory
        self._accelerator = accelerator
        self._ranks = ranks or Ranks()
        self._updates = 0
        accelerator.free_memory()  # it would hold the weights and moments of trainers before this one
        if compute.gradient_checkpointing:
            enable_recomputing(policy.model)
        self._compiled = compiled_layers(policy.model) if compute.compile else None
        self._weights = (Shards if compute.shard and self._ranks.size > 1 else Replica)(policy, self._ranks)
        adam = torch.optim.AdamW(
            self._weights.parameters,
            lr=optimiser.learning_rate,
            betas=(optimiser.beta1, optimiser.beta2),
            weight_decay=optimiser.weight_decay,
            fused=True,  # no copies of the weights while it works: a step never fails halfway for want of memory
        )
        self._adam = accelerator.prepare(adam)

    def update(self, tries: Sequence[Trie], clip: Clip | None = None) -> Update:
        """*Collective.* Take one step on the mean loss over all targets of ``tries``, which all ranks are given.

        It is taken in smaller batches where memory runs out. A gradient that is not finite leaves weights and optimiser
        as they are, and the result says so.

        Raises:
            EnvironmentFault: memory runs out with the smallest batches.
        """
        longest = max(map(len, tries))
        return self._memory.run(partial(self._update, tries, clip), partial(narrower, least=longest))

    def _update(self, tries: Sequence[Trie], clip: Clip | None, compute: Compute) -> Update:
        rate = self._set_learning_rate()
        self._adam.zero_grad(set_to_none=True)  # an update that was cut short left what it had by then
        total = sum(len(trie.targets) for trie in tries)
        batches = [[[tries[i] for i in row] for row in rows] for rows in micro_batches(tries, compute)]
        self._weights.take()
        recompute = compute.gradient_checkpointing
        with training(self._weights.model, recompute=recompute, compiled=self._compiled):
            mine = [self._backward(collate(rows), 1 / total, clip) for rows in self._ranks.share(batches)]
            for _ in range(self._weights.idle_passes(len(batches))):
                self._backward(collate(batches[0]), 0.0, clip)
        means = Means.of(self._ranks.gather(_on_cpu(mine)))
        return Update(
            loss=means.loss,
            grad_norm=self._step(),
            learning_rate=rate,
            mean_logprob=means.logprob,
            clip_fraction=means.clipped,
            tokens=sum(map(len, tries)),
        )

    def state_dict(self) -> TrainerState:
        """*Collective.* It counts on the first rank alone."""
        return {"adam": self._weights.whole(self._adam.state_dict()), "updates": self._updates}

    def load_state_dict(self, state: TrainerState) -> None:
        """Go on from ``state_dict``."""
        self._adam.load_state_dict(self._weights.part(state["adam"]))
        self._updates = state["updates"]

    def _backward(self, batch: Batch, weight: float, clip: Clip | None) -> Sums:
        """Add the gradient of one micro-batch, ``weight`` times the sum of its targets' losses."""
        batch = batch.to(self._accelerator.device)
        with self._accelerator.autocast():
            logprobs_N = self._weights.logprobs(batch)
        bounds = clip or Clip(math.inf, math.inf)
        loss_N, clipped_N = surrogate(logprobs_N, batch.old, batch.coefficients, bounds)
        self._accelerator.backward(loss_N.sum() * (weight * self._weights.scale))
        return Sums.of(batch, logprobs_N.detach(), loss_N.detach(), clipped_N)

    def _set_learning_rate(self) -> float:
        warmup = self.optimiser.warmup_steps
        rate = self.optimiser.learning_rate * min(1.0, (self._updates + 1) / (warmup + 1))
        for group in self._adam.param_groups:
            group["lr"] = rate
        return rate

    def _step(self) -> float:
        """Apply the gradient of all ranks where it is finite; returns its norm before clipping."""
        self._weights.add_up_gradients()
        norm = self._clipped_norm()
        finite = not self._ranks.any(not math.isfinite(norm))  # that of one is that of all, but for rounding
        if finite:
            self._adam.step()
            self._weights.give()
        self._adam.zero_grad(set_to_none=True)
        self._updates += 1
        return norm if finite or not math.isfinite(norm) else math.nan

    def _clipped_norm(self) -> float:
        norm = self._accelerator.clip_grad_norm_(self._weights.parameters, self.optimiser.max_grad_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


@dataclass(frozen=True, slots=True)
class Sums:
    """What one micro-batch came to, kept on its device until the update ends."""

    totals: Tensor
    """float64 [2 + K]: the loss summed over targets, how many ratios were clipped, the log-probabilities by label."""
    counts: dict[str, int]
    """Targets of each of K labels."""

    @classmethod
    def of(cls, batch: Batch, logprobs_N: Tensor, loss_N: Tensor, clipped_N: Tensor) -> Sums:
        """Those of ``batch``, from what came of its targets."""
        by_label = torch.zeros(len(batch.label_counts), dtype=torch.float64, device=logprobs_N.device)
        by_label.index_add_(0, batch.labels, logprobs_N.double())
        return cls(torch.cat([torch.stack([loss_N.sum(), clipped_N.sum()]).double(), by_label]), batch.label_counts)


def _on_cpu(parts: Sequence[Sums]) -> list[Sums]:
    """The same sums, which come over in one piece."""
    totals = fetched([part.totals for part in parts]) if parts else []
    return [replace(part, totals=torch.from_numpy(own)) for part, own in zip(parts, totals, strict=True)]


@dataclass(frozen=True, slots=True)
class Means:
    """What all micro-batches of an update came to, a target."""

    loss: float
    clipped: float
    logprob: dict[str, float]
    """By label."""

    @classmethod
    def of(cls, parts: Sequence[Sums]) -> Means:
        """From the sums of all ranks, on the CPU."""
        totals = [part.totals.tolist() for part in parts]
        counts, logprobs = Counter[str](), Counter[str]()
        for part, values in zip(parts, totals, strict=True):
            counts.update(part.counts)
            logprobs.update(dict(zip(part.counts, values[2:], strict=True)))
        loss, clipped = (sum(values[i] for values in totals) / counts.total() for i in range(2))
        return cls(loss, clipped, {label: logprobs[label] / counts[label] for label in counts})
