"""Log-probabilities of what a batch asks for, with their gradient.

Shapes: B rows, L nodes a row, P distinct events, N targets, C events of a chunk, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.model.policy import Policy, Support
from engine.model.tries import Batch, EventRun

LOGIT_ROWS = 512
"""Events whose logits are held at a time; the backward pass computes them again."""


def logprobs(policy: Policy, batch: Batch) -> Tensor:
    """[N] log-probability of each target, in nats, float32, with its gradient where gradients are on."""
    return target_logprobs(policy, batch, policy.hidden(batch.input_ids, batch.position_ids, batch.mask))


def target_logprobs(policy: Policy, batch: Batch, hidden: Tensor) -> Tensor:
    """[N] log-probabilities as in `logprobs`, from the hidden states [B, L, D] of the batch's nodes."""
    picked = hidden.flatten(0, 1)[batch.nodes]
    none = torch.zeros(0, device=picked.device)
    parts = [
        _chunk(policy, picked[part], batch.tokens[part], run, batch.temperature) for part, run in _chunks(batch.runs)
    ]
    events = torch.cat([none, *parts])
    total = torch.zeros(len(batch.labels), device=picked.device).index_add(0, batch.owners, events[batch.uses])
    return torch.where(batch.complement, log1mexp(total), total)


def _chunks(runs: tuple[EventRun, ...]) -> Iterator[tuple[slice, EventRun]]:
    """Parts of at most LOGIT_ROWS events that are renormalised over the same tokens."""
    begin = 0
    for run in runs:
        for start in range(begin, run.stop, LOGIT_ROWS):
            yield slice(start, min(start + LOGIT_ROWS, run.stop)), run
        begin = run.stop


def _chunk(policy: Policy, hidden: Tensor, tokens: Tensor, run: EventRun, temperature: float) -> Tensor:
    given = (policy, hidden, tokens, run, temperature)
    if torch.is_grad_enabled():
        events: Tensor = checkpoint(_event_logprobs, *given, use_reentrant=False, preserve_rng_state=False)
        return events
    return _event_logprobs(*given)


def _event_logprobs(policy: Policy, hidden: Tensor, tokens: Tensor, run: EventRun, temperature: float) -> Tensor:
    """[C] log-probabilities of events from the hidden states [C, D] before them."""
    logits = policy.logits(hidden)
    if temperature != 1:
        logits = logits / temperature
    if run.line_ends:
        chosen = policy.line_ends.logmass_of(logits, -1 - tokens)
    else:
        chosen = logits.gather(1, tokens[:, None])[:, 0]
    if run.support != Support.ANY:
        logits = logits.masked_fill(~policy.supports[run.support], float("-inf"))
    return chosen - logits.logsumexp(1)


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x <= 0, exact near 0 and far from it (Mächler, 2012); x is kept below -1e-6."""
    x = x.clamp(max=-1e-6)
    near = x > -0.6931472
    # Each branch sees only the values it is good for: a discarded infinity would still poison the gradient.
    return torch.where(
        near,
        torch.log(-torch.expm1(torch.where(near, x, -0.5))),
        torch.log1p(-torch.exp(torch.where(near, -1.0, x))),
    )
