"""What the policy makes of code it was not trained on."""

from __future__ import annotations

import numpy as np

from engine.model.events import bare_trie
from engine.runs.stages.context import Context
from engine.training.scoring import score


def measure_held_out(context: Context) -> None:
    """*Collective.* Record ``held_out/loss``, nats a token of held-out lines without latents, and its perplexity."""
    if not context.held_out:
        return
    with context.ledger.measuring():
        mine = context.ranks.share([bare_trie(encoded) for _, encoded in context.held_out])
        rows = context.ranks.gather(context.memory.run(lambda compute: score(context.policy, mine, compute)))
    loss = -float(np.mean(np.concatenate(rows)))
    context.writer.metrics({"held_out/loss": loss, "held_out/perplexity": float(np.exp(loss))})
