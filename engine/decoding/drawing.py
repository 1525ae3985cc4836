"""Drawing tokens: from logits, and a uniform number a row, to an event and how likely it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 256
"""Events of the vocabulary among which the low bits of a uniform number choose."""
HIGH = 2**26
"""How many values its high bits take; 27 of the 53 bits are left."""


@dataclass(frozen=True, slots=True)
class Truncation:
    """Which events may be drawn: those that none of the three leaves out, taken in this order."""

    top_k: int = 0
    """The likeliest so many; 0 keeps all."""
    top_p: float = 1.0
    """The smallest set of likeliest events that holds this much probability (Holtzman et al., 2020)."""
    min_p: float = 0.0
    """Those at least this fraction as likely as the likeliest (Nguyen et al., 2024)."""

    def of(self, likely: Tensor) -> Tensor:
        """Probabilities [R, V] renormalised over what is kept, 0 outside."""
        if self.top_k:
            least = likely.topk(min(self.top_k, likely.shape[-1]), -1).values[:, -1:]
            likely = _renormalised(likely.masked_fill(likely < least, 0))
        if self.top_p < 1:
            likely = _nucleus(likely, self.top_p)
        if self.min_p:
            likely = _renormalised(likely.masked_fill(likely < self.min_p * likely.max(-1, keepdim=True).values, 0))
        return likely


EVERYTHING = Truncation()


def draw(
    logits: Tensor, uniforms: Tensor, temperature: float, truncation: Truncation = EVERYTHING
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one event a row by inverting the distribution function at the row's own uniform number.

    Args:
        logits: float32 [R, V].
        uniforms: float64 [R] in [0, 1).
        temperature: 0 is greedy.
        truncation: of the distribution at that temperature.

    Returns:
        events int64 [R], their log-probabilities at temperature 1 [R] and under what they were drawn from [R].
    """
    likely = logits.softmax(-1)
    if temperature == 0:
        best, events = likely.max(-1)
        return events, best.log(), torch.zeros_like(best)
    behaviour = truncation.of(likely if temperature == 1 else (logits / temperature).softmax(-1))
    events = _invert(behaviour, uniforms)
    return events[:, 0], likely.gather(-1, events)[:, 0].log(), behaviour.gather(-1, events)[:, 0].log()


def _invert(likely: Tensor, uniforms: Tensor) -> Tensor:
    """Events [R, 1] of probabilities [R, V]: high bits of the uniform number choose a block of V, low bits one in it.

    Along a single sum over V the rounding of all that stands before an unlikely event moves its place by more than its
    width: on SmolLM2, 4 draws in 1000 changed with the shape of the batch, now 1 in 5000.
    """
    blocks = pad(likely, (0, -likely.shape[-1] % BLOCK)).reshape(len(likely), -1, BLOCK)
    scaled = uniforms * HIGH
    block = _reach(blocks.sum(-1, dtype=torch.float64), scaled.floor() / HIGH)
    inside = blocks.gather(1, block[..., None].expand(-1, -1, BLOCK))[:, 0]
    return block * BLOCK + _reach(inside.double(), scaled.frac())


def _reach(masses: Tensor, shares: Tensor) -> Tensor:
    """Where the running sum of masses [R, n] first exceeds the shares [R] of their whole: [R, 1]."""
    reached = masses.cumsum(-1)
    return torch.searchsorted(reached, shares[:, None] * reached[:, -1:], right=True)


def _nucleus(likely: Tensor, top_p: float) -> Tensor:
    """Probabilities [R, V] renormalised over the nucleus, 0 outside."""
    ordered, order = likely.sort(-1, descending=True)
    before = ordered.double().cumsum(-1) - ordered
    outside = torch.zeros_like(likely, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return _renormalised(likely.masked_fill(outside, 0))


def _renormalised(likely: Tensor) -> Tensor:
    return likely / likely.sum(-1, keepdim=True)
