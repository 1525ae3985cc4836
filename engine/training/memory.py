"""Needing less memory: batches that are halved when memory has run out."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from typing import TypeVar

import torch

from engine.errors import EnvironmentFault
from engine.recipe.sections import Compute

ResultT = TypeVar("ResultT")
Squeeze = Callable[[Compute], Compute | None]
"""From batches that did not fit to smaller ones; None where they are the smallest."""

_WORDS = ("can't allocate memory", "bad_alloc", "out of memory", "ALLOC_FAILED")
"""Of errors that are none of torch.OutOfMemoryError and MemoryError: torch's allocator on the CPU, MKL, cuBLAS."""

ADVICE = (
    "set compute.gradient_checkpointing=true, train adapters (lora.rank=16), lower corpus.max_tokens "
    "or max_new_tokens, or take a smaller model"
)
"""What helps where smaller batches do not."""


def ran_out(error: Exception) -> bool:
    """Is it memory that an error complains of?"""
    plain = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return plain or any(words in str(error) for words in _WORDS)


def narrower(compute: Compute, least: int = 16) -> Compute | None:
    """Half the rows a pass, then half the tokens a row, down to ``least``."""
    if compute.micro_rows > 1:
        return compute.model_copy(update={"micro_rows": compute.micro_rows // 2})
    if compute.row_tokens > least:
        return compute.model_copy(update={"row_tokens": max(least, compute.row_tokens // 2)})
    return None


def fewer_sequences(compute: Compute) -> Compute | None:
    """Half the sequences decoded side by side, then fewer tokens a row."""
    if compute.decode_batch > 1:
        return compute.model_copy(update={"decode_batch": compute.decode_batch // 2})
    return narrower(compute)


class MemoryGuard:
    """The batches that work is done in: halved where memory runs out, and kept so for all that is done after."""

    def __init__(self, compute: Compute, tell: Callable[[str], None] | None = None, *, fixed: bool = False) -> None:
        """Begin with the batches of ``compute``.

        Args:
            compute: the batches to try first.
            tell: is given words on what changed, before the smaller batches are tried.
            fixed: never make them smaller, as one of several ranks must not: all cut their shares from the same
                batches.
        """
        self.compute = compute
        """The batches as they are now."""
        self._tell = tell
        self._fixed = fixed

    def run(self, work: Callable[[Compute], ResultT], squeeze: Squeeze = narrower) -> ResultT:
        """What ``work`` gives with the present batches, or with those that ``squeeze`` makes of them.

        ``work`` is begun anew after each failure, so it must leave nothing half done.

        Raises:
            EnvironmentFault: memory runs out with the smallest batches, or with fixed ones.
        """
        while True:
            try:
                return work(self.compute)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                shortage = _shortage(error)
            # Out here the error is gone, and with it the frames that hold what was computed so far.
            smaller = None if self._fixed else squeeze(self.compute)
            if smaller is None:
                raise EnvironmentFault(
                    f"memory ran out ({shortage}) with {_batches(self.compute)}, too little to halve; {ADVICE}"
                )
            _let_go()
            before, self.compute = self.compute, smaller
            if self._tell is not None:
                self._tell(f"memory ran out ({shortage}): {_changes(before, smaller)}")


def _shortage(error: Exception) -> str:
    """What was one too much, in a few words: allocators tell far more."""
    size = re.search(r"tried to allocate ([\d.]+ (?:bytes|[KMGT]iB))", str(error), re.IGNORECASE)
    return f"{size[1]} more were not to be had" if size else (str(error).splitlines() or ["no more was to be had"])[0]


def _batches(compute: Compute) -> str:
    names = ("micro_rows", "row_tokens", "decode_batch")
    return ", ".join(f"compute.{name}={getattr(compute, name)}" for name in names)


def _changes(before: Compute, after: Compute) -> str:
    kept, new = before.model_dump(), after.model_dump()
    return ", ".join(
        f"compute.{key} is {new[key]} from now on, not {kept[key]}" for key in new if new[key] != kept[key]
    )


def _let_go() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
