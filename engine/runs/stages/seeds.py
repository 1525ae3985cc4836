"""Seeds of every draw, and the order of what is trained on: both follow from the recipe's seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of one stage, by what they are for: ``seeds("estep", round_, number)``."""

    seed: int
    """The recipe's."""
    position: int
    """Of the stage in its arm."""

    def __call__(self, *labels: object) -> int:
        """A seed, in 63 bits, that follows from the recipe's seed, this stage and ``labels`` alone."""
        return self.common(self.position, *labels)

    def common(self, *labels: object) -> int:
        """The same without the stage: what is drawn by it is drawn alike in every stage and every arm."""
        text = repr((self.seed, *labels))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def shuffled(count: int, seed: int) -> Iterator[int]:
    """Indices below ``count`` without end, each epoch in an order of its own."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(count).tolist()
