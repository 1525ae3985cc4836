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
from engine.training.schedules import rate_factor
from engine.training.scoring import micro_batches
from engine.training.weights import OptimiserState, Replica, Shards

TRUNCATION = 2.0
"""Importance weights of a first pass are cut here (truncated importance sampling; Yao et al., 2025)."""
AGREEMENT = 1e-3
"""Nats by which trainer and sampler may differ and the weight is 1: float32 kernels stay within. Without it their
rounding is all that is left of gradients which cancel over a group, and Adam would make steps of it."""


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
    """Share of the targets whose ratio was clipped, or whose importance weight was truncated."""
    tokens: int
    """Nodes that went through the model."""

    @property
    def skipped(self) -> bool:
        """Was the gradient not finite, so that the weights were left alone?"""
        return not math.isfinite(self.grad_norm)


def surrogate(logprobs_N: Tensor, old_N: Tensor, coefficients_N: Tensor, clip: Clip | None) -> tuple[Tensor, Tensor]:
    """Loss a target, [N], and whether its ratio was clipped, [N] bool.

    Without an old log-probability (NaN) it is ``-coefficient * logprob``, whose gradient is that of maximum likelihood
    or of REINFORCE. With one, and a ``clip``, it is PPO's clipped ratio (Schulman et al., 2017), its upper bound free
    (DAPO, 2025). Without a ``clip``, in the first pass over what was drawn, its gradient is that of REINFORCE with
    the ratio as importance weight, truncated at `TRUNCATION`: trainer and sampler differ by the rounding of their
    kernels, by more in lower precision, and a clipped ratio would drop the tokens on which they differ most.
    """
    on_ratio = ~old_N.isnan()
    ratio = torch.exp(logprobs_N - torch.where(on_ratio, old_N, logprobs_N.detach()))
    if clip is None:
        agrees = (logprobs_N.detach() - old_N).abs() < AGREEMENT
        weight = torch.where(agrees, 1.0, ratio.detach().clamp(max=TRUNCATION))
        gain = weight * coefficients_N * torch.exp(logprobs_N - logprobs_N.detach())
        clipped = ratio > TRUNCATION
    else:
        bounded = ratio.clamp(1 - clip.low, 1 + clip.high)
        gain = torch.minimum(ratio * coefficients_N, bounded * coefficients_N)
        clipped = ratio * coefficients_N > bounded * coefficients_N
    return torch.where(on_ratio, -gain, -coefficients_N * logprobs_N), on_ratio & clipped


class TrainerState(TypedDict):
    """What a resumed trainer needs beside the weights."""

    adam: OptimiserState


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
        self._learning_rate = optimiser.learning_rate
        self._max_grad_norm = optimiser.max_grad_norm
        self._memory = memory
        self._accelerator = accelerator
        self._ranks = ranks or Ranks()
        if compute.gradient_checkpointing:
            enable_recomputing(policy.model)
        self._compiled = compiled_layers(policy.model) if compute.compile else None
        self._weights = (Shards if compute.shard and self._ranks.size > 1 else Replica)(policy, self._ranks)
        self._adam = torch.optim.AdamW(
            self._weights.parameters,
            lr=optimiser.learning_rate,
            betas=(optimiser.beta1, optimiser.beta2),
            weight_decay=optimiser.weight_decay,
            fused=True,  # no copies of the weights while it works: a step never fails halfway for want of memory
        )

    def prepare(self, optimiser: Optimiser, taken: int, planned: float) -> None:
        """The settings of the coming update, before which ``taken`` of the stage's ``planned`` updates were taken.

        Rates may be changed between two updates: the schedule's shape is a factor on whatever rate holds.
        """
        factor = rate_factor(optimiser.schedule, optimiser.warmup_steps, taken, planned)
        self._learning_rate = optimiser.learning_rate * factor
        self._max_grad_norm = optimiser.max_grad_norm

    def update(self, tries: Sequence[Trie], clip: Clip | None = None, temperature: float = 1.0) -> Update:
        """*Collective.* Take one step on the mean loss over all targets of ``tries``, which all ranks are given.

        ``clip`` bounds the ratio of targets that have an old log-probability, as in `surrogate`. What is trained is
        the policy at ``temperature``, which is that at which the targets were drawn.

        It is taken in smaller batches where memory runs out. A gradient that is not finite leaves weights and optimiser
        as they are, and the result says so.

        Raises:
            EnvironmentFault: memory runs out with the smallest batches.
        """
        longest = max(map(len, tries))
        return self._memory.run(partial(self._update, tries, clip, temperature), partial(narrower, least=longest))

    def _update(self, tries: Sequence[Trie], clip: Clip | None, temperature: float, compute: Compute) -> Update:
        for group in self._adam.param_groups:
            group["lr"] = self._learning_rate
        self._adam.zero_grad(set_to_none=True)  # an update that was cut short left what it had by then
        total = sum(len(trie.targets) for trie in tries)
        batches = [[[tries[i] for i in row] for row in rows] for rows in micro_batches(tries, compute)]
        self._weights.take()
        recompute = compute.gradient_checkpointing
        with training(self._weights.model, recompute=recompute, compiled=self._compiled):
            backward = partial(self._backward, clip=clip, temperature=temperature)
            mine = [backward(collate(rows), 1 / total) for rows in self._ranks.share(batches)]
            for _ in range(self._weights.idle_passes(len(batches))):
                backward(collate(batches[0]), 0.0)
        means = Means.of(self._ranks.gather(_on_cpu(mine)))
        return Update(
            loss=means.loss,
            grad_norm=self._step(),
            learning_rate=self._learning_rate,
            mean_logprob=means.logprob,
            clip_fraction=means.clipped,
            tokens=sum(map(len, tries)),
        )

    def state_dict(self) -> TrainerState:
        """*Collective.* It counts on the first rank alone."""
        return {"adam": self._weights.whole(self._adam.state_dict())}

    def load_state_dict(self, state: TrainerState) -> None:
        """Go on from ``state_dict``."""
        self._adam.load_state_dict(self._weights.part(state["adam"]))

    def _backward(self, batch: Batch, weight: float, clip: Clip | None, temperature: float) -> Sums:
        """Add the gradient of one micro-batch, ``weight`` times the sum of its targets' losses."""
        batch = replace(batch.to(self._accelerator.device), temperature=temperature)
        with self._accelerator.autocast():
            logprobs_N = self._weights.logprobs(batch)
        loss_N, clipped_N = surrogate(logprobs_N, batch.old, batch.coefficients, clip)
        self._accelerator.backward(loss_N.sum() * (weight * self._weights.scale))
        return Sums.of(batch, logprobs_N.detach(), loss_N.detach(), clipped_N)

    def _step(self) -> float:
        """Apply the gradient of all ranks where it is finite; returns its norm before clipping."""
        self._weights.add_up_gradients()
        norm = self._clipped_norm()
        finite = not self._ranks.any(not math.isfinite(norm))  # that of one is that of all, but for rounding
        if finite:
            self._adam.step()
            self._weights.give()
        self._adam.zero_grad(set_to_none=True)
        return norm if finite or not math.isfinite(norm) else math.nan

    def _clipped_norm(self) -> float:
        norm = self._accelerator.clip_grad_norm_(self._weights.parameters, self._max_grad_norm)
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
