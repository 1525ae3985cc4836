"""What an update makes of log-probabilities: a loss a target, and how far the policy has gone from others.

Pure functions of N targets. *Old* is a target's log-probability when it was drawn, *reference* that under a policy
which is not to be left far behind; both are NaN where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

TRUNCATION = 2.0
"""Importance weights of a first pass are cut here (truncated importance sampling; Yao et al., 2025)."""
AGREEMENT = 1e-3
"""Nats by which trainer and sampler may differ and the weight is 1: float32 kernels stay within. Without it their
rounding is all that is left of gradients which cancel over a group, and Adam would make steps of it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Bounds of the probability ratio, 1 - low to 1 + high, and which ratio it is that they bound."""

    low: float
    high: float
    ratio: Literal["token", "sequence", "weight"] = "token"
    """``token``: a target's own (PPO, GRPO). ``sequence``: the geometric mean of those of its sequence, one for all its
    targets (GSPO). ``weight``: a target's own as an importance weight, through which no gradient flows (CISPO)."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """Which targets belong together."""

    of: Tensor
    """int64 [N] the sequence of each target, counted from 0."""
    count: int
    """S, how many there are."""

    def means(self, values_N: Tensor) -> Tensor:
        """[N] for each target the mean of ``values_N`` over its sequence, with its gradient."""
        sums_S = values_N.new_zeros(self.count).index_add(0, self.of, values_N)
        sizes_S = values_N.new_zeros(self.count).index_add(0, self.of, torch.ones_like(values_N))
        return (sums_S / sizes_S.clamp(min=1))[self.of]


def surrogate(
    logprobs_N: Tensor, old_N: Tensor, coefficients_N: Tensor, clip: Clip | None, sequences: Sequences | None = None
) -> tuple[Tensor, Tensor]:
    """Loss a target, [N], and whether its ratio was clipped, [N] bool.

    Without an old log-probability it is ``-coefficient * logprob``, whose gradient is that of maximum likelihood or of
    REINFORCE. With one, and a ``clip``, it is PPO's clipped ratio (Schulman et al., 2017), its upper bound free (DAPO,
    2025), of tokens or of whole ``sequences`` (GSPO, arXiv 2507.18071); or REINFORCE with the clipped ratio as weight,
    which leaves no token without a gradient (CISPO, arXiv 2506.13585). Without a ``clip``, in the first pass over what
    was drawn, its gradient is that of REINFORCE with the ratio as importance weight, truncated at `TRUNCATION`: trainer
    and sampler differ by the rounding of their kernels, by more in lower precision, and a clipped ratio would drop the
    tokens on which they differ most.
    """
    on_ratio = ~old_N.isnan()
    moved = logprobs_N - torch.where(on_ratio, old_N, logprobs_N.detach())
    if clip is not None and clip.ratio == "sequence" and sequences is not None:
        moved = sequences.means(moved)
    ratio = torch.exp(moved)
    if clip is None:
        agrees = (logprobs_N.detach() - old_N).abs() < AGREEMENT
        weight = torch.where(agrees, 1.0, ratio.detach().clamp(max=TRUNCATION))
        clipped = ratio > TRUNCATION
    else:
        bounded = ratio.clamp(1 - clip.low, 1 + clip.high)
        weight = bounded.detach()
        clipped = weight != ratio
    if clip is None or clip.ratio == "weight":
        gain = weight * coefficients_N * torch.exp(logprobs_N - logprobs_N.detach())
    else:
        gain = torch.minimum(ratio * coefficients_N, bounded * coefficients_N)
        clipped = ratio * coefficients_N > bounded * coefficients_N
    return torch.where(on_ratio, -gain, -coefficients_N * logprobs_N), on_ratio & clipped


def divergence(logprobs_N: Tensor, reference_N: Tensor) -> Tensor:
    """KL(policy || reference) in nats a target, [N], estimated from targets that the policy drew; 0 without reference.

    Schulman's k3, ``r - 1 - log r`` of ``r = reference / policy``: without bias, never negative, and with less variance
    than the log-ratio. Its gradient pulls each log-probability towards the reference's.
    """
    log_r = torch.where(reference_N.isnan(), logprobs_N.detach(), reference_N) - logprobs_N
    return torch.expm1(log_r) - log_r


def moves(logprobs_N: Tensor, old_N: Tensor, reference_N: Tensor) -> Tensor:
    """How far the policy went, [5], float64: sums over the targets that have an old or a reference log-probability.

    How many have an old one, their ratios, KL(sampler || policy) estimated from them; how many have a reference, and
    KL(policy || reference).
    """
    log_ratio = (logprobs_N - old_N).nan_to_num(0.0).double()
    drawn, referred = ~old_N.isnan(), ~reference_N.isnan()
    ratios = torch.where(drawn, log_ratio.exp(), 0.0)
    apart = torch.expm1(log_ratio) - log_ratio
    return torch.stack([
        drawn.sum().double(),
        ratios.sum(),
        apart.sum(),
        referred.sum().double(),
        divergence(logprobs_N, reference_N).double().sum(),
    ])  # fmt: skip
