"""Katas for one use each: a split is a share of all normal forms, so that no two splits have a function in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Literal, get_args

from engine.katas.programs import MOST_TERMS, Kata, draw_kata

Split = Literal["pretrain", "midtrain", "rlvr", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_SHARES: dict[Split, range] = {
    "pretrain": range(50),
    "midtrain": range(50, 75),
    "rlvr": range(75, 85),
    "dev": range(85, 90),
    "test": range(90, 100),
}
"""Percent of all normal forms."""


def split_of(kata: Kata) -> Split:
    """The split that its normal form falls to, by a hash."""
    percent = int.from_bytes(hashlib.sha256(kata.normal_form.encode()).digest()[:8]) % 100
    return next(split for split, share in _SHARES.items() if percent in share)


def draw_katas(split: Split, seed: int | str = 0, *, depth: int = MOST_TERMS) -> Iterator[Kata]:
    """Katas of a split without end, in an order that follows from the seed; of pre-training's none is novel."""
    random = Random(f"{split} {seed}")
    while True:
        kata = draw_kata(random, depth=depth, novel=split != "pretrain")
        if kata.depth and split_of(kata) == split:
            yield kata
