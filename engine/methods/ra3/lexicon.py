"""The lexicon: which abstractions latents name, how few cover most segments, and whether that has collapsed.

A small set of latents that covers most segments is what the paper's pruning argument wants (Zhang et al., 2025); one
latent for everything, or none at all, says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engine.methods.ra3.rewards import Group, malformed

COVERED = 0.9
"""Share of the segments of which is told how few distinct latents name them."""
SHUT_GATE = 0.01
"""Mean P(THINK) below which RA3 is next-token prediction."""
TOP_SHARE = 0.5
"""Share of one latent among all above which the lexicon has collapsed."""
ENOUGH = 20
"""Latents it takes to say so."""


def lexicon(groups: Sequence[Group], decode: Callable[[Sequence[int]], str], prefix: str) -> dict[str, float]:
    """Metrics of the distinct latents, told apart by their words alone; nothing where there is no latent.

    ``distinct``, ``entropy`` (nats), ``top_share`` (of the most frequent), ``cover90`` (how few name 90 % of segments)
    and ``malformed`` (share that says nothing or was cut).
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    words = Counter(
        " ".join(decode(comment).lower().split())
        for rollout in rollouts
        for comment in rollout.comments
        if comment is not None
    )
    if not words:
        return {}
    total = words.total()
    shares = np.array(sorted(words.values(), reverse=True)) / total
    broken = sum(sum(malformed(rollout, decode)) for rollout in rollouts)
    return {
        f"{prefix}/distinct": float(len(words)),
        f"{prefix}/entropy": float(-(shares * np.log(shares)).sum()),
        f"{prefix}/top_share": float(shares[0]),
        f"{prefix}/cover90": float(np.searchsorted(shares.cumsum(), COVERED - 1e-9) + 1),
        f"{prefix}/malformed": broken / total,
        f"{prefix}/latents": float(total),
    }


def collapse(metrics: Mapping[str, float], prefix: str) -> str | None:
    """One line for a person where the latents have collapsed, by the metrics of an update."""
    p_think, held_open = metrics[f"{prefix}/p_think"], metrics[f"{prefix}/think_rate"] == 1
    if p_think < SHUT_GATE and not held_open:
        return f"the gate is nearly shut: P(THINK) is {p_think:.4f} a line, so RA3 is next-token prediction here"
    top = metrics.get(f"{prefix}/top_share", 0.0)
    if top > TOP_SHARE and metrics[f"{prefix}/latents"] >= ENOUGH:
        return f"the lexicon has collapsed: one latent is {top:.0%} of all"
    return None
