"""The tiny policy and traces that the engine's tests share, and slow versions of what decoding computes."""

import math
from functools import cache

import torch
from torch import Tensor

from engine.corpora.traces import Trace, parse_trace
from engine.model.encoding import EncodedTrace, encode_trace
from engine.model.policy import Policy, Support, load_policy
from tests.engine.devices import DEVICE

SOURCES = (
    "def area(radius):\n    # a comment of the expert's\n    pi = 3.14159\n    if radius < 0:\n"
    "        raise ValueError\n\n"
    "    return pi * radius ** 2\n",
    "def merge(left, right):\n    out = []\n    while left and right:\n        out.append(\n            left.pop(0)\n"
    "            if left[0] < right[0] else right.pop(0)\n        )\n    return out + left + right\n",
    'def greet(name):\n    """Say hello.\n\n    Twice."""\n    print("hello", name)\n    print("hello", name)\n',
)


@cache
def tiny_policy() -> Policy:
    """`random:tiny` with weights large enough for predictions far from uniform. Not to be changed: clone it."""
    policy = load_policy("random:tiny", device=str(DEVICE))
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "norm" not in name:
                weight.mul_(6.0)
    return policy


@cache
def traces() -> tuple[Trace, ...]:
    return tuple(parse_trace(source, id=str(i), prompt_end=1) for i, source in enumerate(SOURCES))


def encoded() -> list[EncodedTrace]:
    return [encode_trace(tiny_policy(), trace, "implied") for trace in traces()]


def prompts() -> list[list[int]]:
    """Prompts of very different lengths; the first two begin alike, two are equal."""
    policy = tiny_policy()
    texts = [SOURCES[0][:70], SOURCES[0][:110], "x", SOURCES[1], "import os\n", SOURCES[1], "def f(a, b):\n    return"]
    return [[*policy.bos, *policy.encode(text)] for text in texts]


@torch.no_grad()
def slow_logits(policy: Policy, ids: list[int]) -> Tensor:
    """float64 [W, V] by the model's own forward pass: no cache, no batch, no mask of ours."""
    logits: Tensor = policy.model(input_ids=torch.tensor([ids], device=policy.device)).logits[0].double()
    return logits


def slow_gate(policy: Policy, before: list[int], prefix: list[int]) -> float:
    """log P(prefix | before, a new line starts)."""
    logits = slow_logits(policy, before + prefix)[len(before) - 1 :]
    first = logits[0, policy.supports[Support.NEWLINE]].logsumexp(0)
    rest = sum(float(logits[i].log_softmax(0)[token]) for i, token in enumerate(prefix) if i > 0)
    return float(logits[0, prefix[0]] - first) + rest


def slow_line(policy: Policy, before: list[int], line: list[int], prefix: list[int] | None) -> float:
    """log P(line | before, a new line starts, and not as a latent does)."""
    latent = slow_gate(policy, before, prefix) if prefix else -math.inf
    return slow_gate(policy, before, line) - math.log1p(-math.exp(latent))


def slow_comment(
    policy: Policy, before: list[int], ids: list[int], *, ended: bool, temperature: float = 1.0
) -> list[float]:
    """Log-probabilities of a comment's tokens over Support.COMMENT, and of its end where it ended by itself."""
    logits = slow_logits(policy, before + ids)[len(before) - 1 :].clone()
    logits[:, ~policy.supports[Support.COMMENT]] = -torch.inf
    newlines = policy.supports[Support.NEWLINE]
    end = logits[:, newlines].logsumexp(-1, keepdim=True)
    logprobs = (torch.cat([logits.masked_fill(newlines, -torch.inf), end], 1) / temperature).log_softmax(-1)
    return [float(logprobs[i, token]) for i, token in enumerate([*ids, *[-1] * ended])]
