"""What the work costs: tokens, seconds, floating-point operations, memory."""

from __future__ import annotations

import gc
import json
import resource
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from engine.model.policy import Policy

PASSES = 3
"""Forward passes that a forward and a backward pass cost together."""


@dataclass
class Costs:
    """What a stage has used so far, of the work that is kept: what a stop cut short is done, and counted, again."""

    tokens_trained: int = 0
    """Tokens that went through a forward and a backward pass."""
    tokens_generated: int = 0
    """Tokens that were sampled."""
    optimiser_steps: int = 0
    """Steps that changed the weights: each pass over an update's rollouts takes one."""
    flops: int = 0
    """Floating-point operations, by `flops`, of all processes."""
    peak_mb: float = 0.0
    """The most memory it held, in megabytes, by `peak_mb`, in the process that writes the store."""
    wall: float = 0.0
    """Seconds, of all sessions that worked on the stage."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by kind of work: sample, score, train, judge, measure, log, save."""

    def metrics(self) -> dict[str, float]:
        """By the names they have in the store."""
        names = ("tokens_trained", "tokens_generated", "optimiser_steps", "flops")
        counts = {name: float(getattr(self, name)) for name in names}
        work = {f"seconds/{kind}": spent for kind, spent in self.seconds.items()}
        return {f"cost/{name}": value for name, value in counts.items()} | {"memory/peak_mb": self.peak_mb} | work

    def columns(self) -> dict[str, Any]:
        """By the columns of the store's table ``stages``."""
        return {
            "seconds": self.wall,
            "tokens_trained": self.tokens_trained,
            "tokens_generated": self.tokens_generated,
            "flops": float(self.flops),
            "peak_mb": self.peak_mb,
            "work": json.dumps(self.seconds),
        }

    @classmethod
    def from_columns(cls, row: Mapping[str, Any]) -> Self:
        """From a row of the store's table ``stages``."""
        return cls(
            tokens_trained=row["tokens_trained"],
            tokens_generated=row["tokens_generated"],
            flops=int(row["flops"]),
            peak_mb=row["peak_mb"] or 0.0,
            wall=row["seconds"],
            seconds=json.loads(row["work"]),
        )


def flops(weights: int, layers: int, width: int, tokens: int, attended: int) -> int:
    """Floating-point operations of a forward pass: 2 N a token, and 4 layers width a pair of tokens that attend.

    After (Kaplan et al., 2020). A training pass costs three times as much, 6 N a token; layers computed again for
    gradient checkpointing are not counted.

    Args:
        weights: N, of the model, embeddings included, tied ones once.
        layers: of attention.
        width: of a layer's queries, all heads together.
        tokens: that went through.
        attended: tokens each of them saw, itself included, summed over them.
    """
    return 2 * weights * tokens + 4 * layers * width * attended


class Meter:
    """Counts the operations of the passes of a policy, and of what is made of it from then on."""

    def __init__(self, policy: Policy) -> None:
        config = policy.model.config
        heads = config.num_attention_heads
        self._weights = policy.n_parameters
        self._layers = int(config.num_hidden_layers)
        self._width = int(heads * (getattr(config, "head_dim", None) or config.hidden_size // heads))
        # By thread, as a policy and its clone may be at work side by side. What tokens attended to stays where the
        # model is: to ask how many would have the CPU wait for each pass.
        self._counts: dict[int, tuple[int, Tensor | int]] = {}
        policy.on_pass = self._count

    def take(self) -> int:
        """Operations since the last time; to be called while no other thread is at work."""
        taken, self._counts = self._counts.values(), {}
        tokens, attended = (sum(int(own[i]) for own in taken) for i in range(2))
        return flops(self._weights, self._layers, self._width, tokens, attended)

    def _count(self, tokens: int, attended: Tensor | int) -> None:
        passes = PASSES if torch.is_grad_enabled() else 1
        own, own_attended = self._counts.get(threading.get_ident(), (0, 0))
        self._counts[threading.get_ident()] = own + tokens * passes, own_attended + attended * passes


def peak_mb(device: torch.device) -> float:
    """Most memory held since `forget_peak`, in megabytes: torch's on a GPU, else what this process had resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` cannot be set back, and begins with that of the process that started this one
        words = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()
        return int(words[1]) * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6


def forget_peak(device: torch.device) -> None:
    """Let go of what nothing refers to, and let `peak_mb` begin anew.

    Where the system does not allow that, it stays the peak of the whole process.
    """
    gc.collect()  # an arm that has ended may hang on by a cycle, with its models
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or no leave to
        return
