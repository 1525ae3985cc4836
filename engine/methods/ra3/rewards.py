"""RA3's arithmetic: rewards, returns, advantages (Zhang et al., 2025).

The E-step finds, by policy gradient, latent comments that make an expert's next lines likelier under a frozen scorer;
the M-step imitates the annotated traces. Here is what that computes, free of I/O and of the model; the loops
are those of ``em`` and ``estep``.

Shapes: G rollouts of a trace, T lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.corpora.traces import Trace
from engine.decoding.latents import Gate, Rollout
from engine.model.encoding import EncodedTrace
from engine.recipe.sections import Ra3

Floats = NDArray[np.float64]


def line_logprob(logprobs: Sequence[float] | Floats, how: Literal["mean", "sum"], log_act: float = 0.0) -> float:
    """l_t, the log-likelihood of one line from those of its tokens, in nats (a token, for ``mean``).

    ``log_act`` is that of the line not beginning as a latent, on which it is conditioned: the gate has paid for that.
    """
    return float(np.sum(logprobs) - log_act) / (len(logprobs) if how == "mean" else 1)


def gate_kl(gate: Gate | None, alpha: float) -> float:
    """KL(Bernoulli(g) || Bernoulli(1 - alpha)) of a gate to its prior, in nats; 0 where there is none."""
    if gate is None:
        return 0.0
    log_think, log_act = gate.logprob_think, log_complement(gate.logprob_think)
    g = math.exp(log_think)
    return g * (log_think - math.log(1 - alpha)) + (1 - g) * (log_act - math.log(alpha))


def gate_charge(gate: Gate | None, settings: Ra3) -> float:
    """What the bound charges for one decision, in nats.

    ``penalty`` charges c for a THINK. ``bernoulli`` charges the exact KL of the gate to its prior, whatever was drawn,
    and c for a THINK in place of log|Z| - H[q]: never less than nothing, also under exploration.
    """
    if gate is None:
        return 0.0
    charge = settings.penalty if gate.think else 0.0
    return charge + (gate_kl(gate, settings.alpha) if settings.bound == "bernoulli" else 0.0)


def decision_logprob(gate: Gate) -> float:
    """log q of the decision that was taken, in nats."""
    return gate.logprob_think if gate.think else log_complement(gate.logprob_think)


def log_complement(logprob: float) -> float:
    """log(1 - p) from log p."""
    return math.log(-math.expm1(min(logprob, -1e-12)))


def returns(rewards_GT: Floats, gamma: float, horizon: int | None) -> Floats:
    """R_t = sum of gamma^(k-t) r_k over k from t to t+H-1, [G, T]; H is the rest of the trace when None."""
    lines = rewards_GT.shape[1]
    reach = horizon or lines
    k, t = np.indices((lines, lines))
    weights = np.where((k >= t) & (k < t + reach), gamma ** np.clip(k - t, 0, None), 0.0)
    return rewards_GT @ weights


def weighted_returns(rewards_GT: Floats, weights: Weights, gamma: float, horizon: int | None) -> Floats:
    """[G, T] `returns` of which each reward is weighed by all that was decided until it: unbiased for q's own."""
    return returns(rewards_GT * weights.upto, gamma, horizon)


def branch_return(logprobs: Sequence[float], charge: float, gamma: float) -> float:
    """R_t of a latent that stands alone: the discounted l_k of the lines behind it, k from t, less its charge."""
    return sum(gamma**k * logprob for k, logprob in enumerate(logprobs)) - charge


def leave_one_out(returns_GT: Floats) -> Floats:
    """Each return less the mean of the other rollouts' at the same line, [G, T] (Kool et al., 2019)."""
    group = returns_GT.shape[0]
    others = (returns_GT.sum(0) - returns_GT) / (group - 1)
    return np.asarray(returns_GT - others)


def importance(gate: Gate | None) -> float:
    """Probability of a gate's decision under q over that under the behaviour; 1 where it was no choice."""
    if gate is None or gate.behaviour_logprob == 0:
        return 1.0
    return math.exp(decision_logprob(gate) - gate.behaviour_logprob)


class Weights(NamedTuple):
    """Importance weights of G rollouts: probability under q over that under the behaviour, at most a cap."""

    before: Floats
    """[G, T] of what was decided before line t."""
    upto: Floats
    """[G, T] of that and of the decision at line t."""


def importance_weights(rollouts: Sequence[Rollout], mode: Literal["trajectory", "branch"], cap: float) -> Weights:
    """Per-decision weights (Precup et al., 2000), truncated: of all decisions so far, or, for ``branch``, of one alone.

    A decision is a gate and the tokens of its comment, of which exploration and temperatures changed the odds.
    """
    ratios_GT = np.array([_log_ratios(rollout) for rollout in rollouts])
    upto_GT = ratios_GT.cumsum(1) if mode == "trajectory" else ratios_GT
    return Weights(*(np.exp(np.minimum(part, math.log(cap))) for part in (upto_GT - ratios_GT, upto_GT)))


def _log_ratios(rollout: Rollout) -> list[float]:
    decided = zip(rollout.gates, rollout.comment_logprobs, rollout.behaviour_logprobs, strict=True)
    return [math.log(importance(gate)) + sum(logprobs) - sum(behaviour) for gate, logprobs, behaviour in decided]


def malformed(rollout: Rollout, decode: Callable[[Sequence[int]], str]) -> list[bool]:
    """For each line: does its comment say nothing, or was it cut before its newline?"""
    return [
        comment is not None and not (ended and decode(comment).strip())
        for comment, ended in zip(rollout.comments, rollout.ended, strict=True)
    ]


def charges(
    rollout: Rollout, scores: Sequence[Sequence[float] | Floats], broken: Sequence[bool], settings: Ra3
) -> list[float]:
    """What each line of a rollout is charged, in nats: its gate, its comment's drift from the scorer, and its form.

    ``scores`` are the log-probabilities of each line's comment events under the scorer, ``broken`` is of `malformed`.
    """
    estep = settings.estep
    drift = [sum(drawn) - float(np.sum(judged)) for drawn, judged in zip(rollout.comment_logprobs, scores, strict=True)]
    return [
        gate_charge(gate, settings) + estep.comment_kl * nats + estep.format_charge * bad
        for gate, nats, bad in zip(rollout.gates, drift, broken, strict=True)
    ]


@dataclass(frozen=True)
class Group:
    """G rollouts of one trace, scored."""

    trace: Trace
    encoded: EncodedTrace
    rollouts: list[Rollout]
    line_logprobs: Floats
    """[G, T] l_t under the scorer: with the rollout's latents up to line t, or in ``branch`` mode with that of line t
    alone."""
    bare_logprobs: Floats
    """[T] l_t under the scorer, without latents."""
    charges: Floats
    """[G, T] what the bound charges, in nats."""
    returns: Floats
    """[G, T] R_t, what followed each decision."""
    weights: Weights
    """Of what was drawn, which exploration changed."""
    weighted_returns: Floats
    """[G, T] R_t with each reward weighed by what was decided until it: an estimate of what q's own would be."""

    @property
    def rewards(self) -> Floats:
        """[G, T] r_t = l_t - charge."""
        return np.asarray(self.line_logprobs - self.charges)

    @property
    def think(self) -> NDArray[np.bool_]:
        """[G, T] where a latent starts."""
        return np.array([[gate is not None and gate.think for gate in r.gates] for r in self.rollouts])

    @property
    def advantages(self) -> Floats:
        """[G, T] leave-one-out advantages of the returns; zeros for a group of one, which has nothing to compare."""
        return leave_one_out(self.returns) if len(self.rollouts) > 1 else np.zeros_like(self.returns)

    @property
    def coefficients(self) -> Floats:
        """[G, T] of grad log q of each decision: its advantage, weighed; without exploration those of `advantages`."""
        if len(self.rollouts) < 2:
            return np.zeros_like(self.returns)
        baseline = self.weighted_returns - leave_one_out(self.weighted_returns)
        return np.asarray(self.weighted_returns - self.weights.upto * baseline)

    def gate_kls(self, alpha: float) -> Floats:
        """[G, T] `gate_kl` of each gate."""
        return np.array([[gate_kl(gate, alpha) for gate in rollout.gates] for rollout in self.rollouts])

    def keep_best(self, count: int) -> Group:
        """The group of the ``count`` rollouts with the highest bounds, the sums of their rewards, the best first."""
        rows = np.argsort(-self.rewards.sum(1), kind="stable")[:count]
        return replace(
            self,
            rollouts=[self.rollouts[row] for row in rows],
            line_logprobs=self.line_logprobs[rows],
            charges=self.charges[rows],
            returns=self.returns[rows],
            weights=Weights(self.weights.before[rows], self.weights.upto[rows]),
            weighted_returns=self.weighted_returns[rows],
        )
