"""Muon (Jordan et al., 2024) in float32.

torch's own casts to bfloat16, which on a CPU costs more than the passes of a small model together; this one also takes
the matrices of one shape at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5


class Muon:
    """Momentum whose steps are made orthogonal. For matrices inside a network, not for embeddings or gains."""

    def __init__(self, matrices: Iterable[Parameter], *, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        shapes: defaultdict[torch.Size, list[Parameter]] = defaultdict(list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        self._groups = list(shapes.values())
        self._momenta = [torch.zeros(len(group), *group[0].shape) for group in self._groups]
        self._momentum, self._weight_decay = momentum, weight_decay

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Take one step along the gradients of the matrices."""
        for group, momentum in zip(self._groups, self._momenta, strict=True):
            gradients = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            momentum.lerp_(gradients, 1 - self._momentum)
            steps = orthogonal(gradients.lerp(momentum, self._momentum))
            rows, columns = group[0].shape
            size = learning_rate * max(1.0, rows / columns) ** 0.5
            for matrix, step in zip(group, steps, strict=True):
                matrix.mul_(1 - learning_rate * self._weight_decay).add_(step, alpha=-size)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices [N, R, C] with singular values drawn near 1, by Newton and Schulz's iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
