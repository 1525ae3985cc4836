"""What the policy gradient asks of one decision: its gate and its comment, each weighed by the decision's advantage."""

from __future__ import annotations

import math

import numpy as np

from engine.decoding.latents import Rollout
from engine.methods.ra3.rewards import decision_logprob, importance
from engine.model.events import LatentEvents, LineEvents
from engine.model.tries import TrieBuilder


def ask_decision(
    trie: TrieBuilder, events: LineEvents | LatentEvents, rollout: Rollout, t: int, advantage: float, *, clipped: bool
) -> None:
    """Add the targets of the decision at line ``t`` to ``trie``: its gate, and the events of its comment.

    A gate's coefficient is its advantage times the importance weight of exploration; one that was held open was no
    choice, and has no target. A comment's tokens carry the weight of their temperature alone: they are learnt as if the
    gate had stood open where exploration opened it.
    ``clipped`` keeps the old log-probabilities, for a second pass over the same rollouts.
    """
    gate = rollout.gates[t]
    if gate is None:
        return
    if gate.behaviour_logprob < 0:
        old = decision_logprob(gate) if clipped else math.nan
        trie.ask_whole(events.gate, "gate", advantage * importance(gate), old, complement=not gate.think)
    logprobs, behaviour = rollout.comment_logprobs[t], rollout.behaviour_logprobs[t]
    weights = advantage * np.exp(np.subtract(logprobs, behaviour))
    trie.ask(events.comment, "comment", weights.tolist(), logprobs if clipped else ())
