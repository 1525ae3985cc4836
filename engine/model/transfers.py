"""From the CPU to a model's device and back, in as few pieces as can be, and without the one waiting for the other.

A GPU works through what it was given while the CPU prepares what comes next, until the CPU asks for a value: each such
question costs both of them the time that the other takes. On a CPU nothing here costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor``, of the CPU, on ``device``; nobody waits for it."""
    return _ready(tensor, device).to(device, non_blocking=True)


def _ready(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` where a copy to ``device`` makes nobody wait."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


Columns = Sequence[Sequence[int] | NDArray[Any]]


def sent_together(columns: Columns, device: torch.device) -> tuple[Tensor, ...]:
    """int64 [n] of each of ``columns``, which cross in one piece."""
    whole, lengths = _laid_end_to_end(columns)
    return torch.split(sent(whole, device), lengths)


class Landing:
    """Where columns of the same lengths come down again and again."""

    def __init__(self, columns: Columns, device: torch.device) -> None:
        whole, lengths = _laid_end_to_end(columns)
        self._whole = whole.to(device)
        self.columns = torch.split(self._whole, lengths)
        """int64 [n] of each."""

    def send(self, columns: Columns) -> None:
        """Overwrite `columns` by others of their lengths, which cross in one piece; nobody waits for them."""
        whole, _ = _laid_end_to_end(columns)
        self._whole.copy_(_ready(whole, self._whole.device), non_blocking=True)


def _laid_end_to_end(columns: Columns) -> tuple[Tensor, list[int]]:
    arrays = [np.asarray(column, dtype=np.int64).reshape(-1) for column in columns]
    return torch.from_numpy(np.concatenate(arrays)), [len(array) for array in arrays]


def fetched(tensors: Sequence[Tensor]) -> list[NDArray[np.float64]]:
    """The values of tensors of one axis, which cross in one piece; exact for float32 and for integers below 2**53."""
    values = torch.cat([tensor.detach().double() for tensor in tensors]).cpu().numpy()
    return np.split(values, np.cumsum([len(tensor) for tensor in tensors])[:-1])
