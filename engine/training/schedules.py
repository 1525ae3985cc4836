"""The shape of a learning rate over the updates of a stage: one function for every arm."""

from __future__ import annotations

import math
from typing import Literal


def rate_factor(schedule: Literal["constant", "linear", "cosine"], warmup: int, taken: int, planned: float) -> float:
    """What a stage's learning rate is multiplied with for the update behind ``taken`` of its ``planned`` ones.

    It rises in equal steps over the first ``warmup`` updates and is 1 for the next. From there it stays, falls in equal
    steps, or falls along half a cosine, towards 0 behind the last: the shapes of transformers' schedulers. It follows
    from its arguments alone, so a resumed run goes on in the same shape. ``planned`` may be an estimate, or infinite.
    """
    if taken < warmup:
        return (taken + 1) / (warmup + 1)
    share = (taken - warmup) / (planned - warmup) if planned > warmup else 1.0
    share = min(1.0, share)
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - share
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * share))
