"""One update from packed tries. It knows of targets and coefficients, and nothing of where they came from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
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
from engine.training.objectives import Clip, Sequences, divergence, moves, surrogate
from engine.training.schedules import rate_factor
from engine.training.scoring import micro_batches
from engine.training.weights import OptimiserState, Replica, Shards


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
    ratio: float = math.nan
    """Mean probability ratio of policy to sampler, over the targets that have an old log-probability; NaN without."""
    kl_sampler: float = math.nan
    """Over the same targets, KL(sampler || policy) in nats a target, estimated."""
    kl_reference: float = math.nan
    """KL(policy || reference) in nats a target, estimated, over those that have a reference's; NaN without."""

    @property
    def skipped(self) -> bool:
        """Was the gradient not finite, so that the weights were left alone?"""
        return not math.isfinite(self.grad_norm)


def target_losses(logprobs_N: Tensor, batch: Batch, clip: Clip | None, kl: float) -> tuple[Tensor, Tensor]:
    """Loss of each target of ``batch``, [N], and whether its ratio was clipped, [N] bool."""
    sequences = Sequences(batch.sequences, batch.n_sequences)
    loss_N, clipped_N = surrogate(logprobs_N, batch.old, batch.coefficients, clip, sequences)
    if kl:
        loss_N = loss_N + kl * divergence(logprobs_N, batch.reference)
    return loss_N, clipped_N


Loss = Callable[[Tensor, Batch], tuple[Tensor, Tensor]]
"""As `target_losses`, its settings chosen."""


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

    def update(
        self, tries: Sequence[Trie], clip: Clip | None = None, temperature: float = 1.0, kl: float = 0.0
    ) -> Update:
        """*Collective.* Take one step on the mean loss over all targets of ``tries``, which all ranks are given.

        ``clip`` bounds the ratio of targets that have an old log-probability, as in `surrogate`; ``kl`` times the
        divergence from the reference is added for those that have one. What is trained is the policy at
        ``temperature``, which is that at which the targets were drawn.

        It is taken in smaller batches where memory runs out. A gradient that is not finite leaves weights and optimiser
        as they are, and the result says so.

        Raises:
            EnvironmentFault: memory runs out with the smallest batches.
        """
        longest = max(map(len, tries))
        loss = partial(target_losses, clip=clip, kl=kl)
        return self._memory.run(partial(self._update, tries, loss, temperature), partial(narrower, least=longest))

    def _update(self, tries: Sequence[Trie], loss: Loss, temperature: float, compute: Compute) -> Update:
        for group in self._adam.param_groups:
            group["lr"] = self._learning_rate
        self._adam.zero_grad(set_to_none=True)  # an update that was cut short left what it had by then
        total = sum(len(trie.targets) for trie in tries)
        batches = [[[tries[i] for i in row] for row in rows] for rows in micro_batches(tries, compute)]
        self._weights.take()
        recompute = compute.gradient_checkpointing
        with training(self._weights.model, recompute=recompute, compiled=self._compiled):
            backward = partial(self._backward, loss=loss, temperature=temperature)
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
            ratio=means.ratio,
            kl_sampler=means.kl_sampler,
            kl_reference=means.kl_reference,
        )

    def state_dict(self) -> TrainerState:
        """*Collective.* It counts on the first rank alone."""
        return {"adam": self._weights.whole(self._adam.state_dict())}

    def load_state_dict(self, state: TrainerState) -> None:
        """Go on from ``state_dict``."""
        self._adam.load_state_dict(self._weights.part(state["adam"]))

    def _backward(self, batch: Batch, weight: float, loss: Loss, temperature: float) -> Sums:
        """Add the gradient of one micro-batch, ``weight`` times the sum of its targets' losses."""
        batch = replace(batch.to(self._accelerator.device), temperature=temperature)
        with self._accelerator.autocast():
            logprobs_N = self._weights.logprobs(batch)
        loss_N, clipped_N = loss(logprobs_N, batch)
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
    """float64 [7 + K]: the loss summed over targets, how many ratios were clipped, the five of `moves`, the
    log-probabilities by label."""
    counts: dict[str, int]
    """Targets of each of K labels."""

    @classmethod
    def of(cls, batch: Batch, logprobs_N: Tensor, loss_N: Tensor, clipped_N: Tensor) -> Sums:
        """Those of ``batch``, from what came of its targets."""
        by_label = torch.zeros(len(batch.label_counts), dtype=torch.float64, device=logprobs_N.device)
        by_label.index_add_(0, batch.labels, logprobs_N.double())
        both = torch.stack([loss_N.sum(), clipped_N.sum()]).double()
        return cls(torch.cat([both, moves(logprobs_N, batch.old, batch.reference), by_label]), batch.label_counts)


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
    ratio: float
    kl_sampler: float
    kl_reference: float

    @classmethod
    def of(cls, parts: Sequence[Sums]) -> Means:
        """From the sums of all ranks, on the CPU."""
        totals = [part.totals.tolist() for part in parts]
        counts, logprobs = Counter[str](), Counter[str]()
        for part, values in zip(parts, totals, strict=True):
            counts.update(part.counts)
            logprobs.update(dict(zip(part.counts, values[7:], strict=True)))
        loss, clipped = (sum(values[i] for values in totals) / counts.total() for i in range(2))
        drawn, ratio, apart, referred, left = (sum(values[i] for values in totals) for i in range(2, 7))
        return cls(
            loss,
            clipped,
            {label: logprobs[label] / counts[label] for label in counts},
            ratio=ratio / drawn if drawn else math.nan,
            kl_sampler=apart / drawn if drawn else math.nan,
            kl_reference=left / referred if referred else math.nan,
        )
