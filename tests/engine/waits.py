"""Where a GPU would make the CPU wait: the calls that ask a tensor for its values, seen while they are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_ASKING = {"tolist", "item", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__"}


class Waits(TorchFunctionMode):
    """Counts them, by name; it cannot tell what is on the CPU by design from what would be on a device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_function__(
        self, function: Callable[..., Any], _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name in _ASKING:
            self.seen[name] += 1
        if name in ("__getitem__", "__setitem__") and _picks_by_bools(args[1]):
            self.seen["index by bools"] += 1
        return function(*args, **(kwargs or {}))

    def crossings(self) -> int:
        """How often values came over; `fetched` asks a tensor for its values by ``cpu``."""
        assert set(self.seen) <= {"cpu", "numpy"}, self.seen
        return self.seen["cpu"]


def _picks_by_bools(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, Tensor) and part.dtype is torch.bool and part.dim() > 0 for part in parts)
