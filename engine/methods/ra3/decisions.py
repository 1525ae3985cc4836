"""What the policy gradient asks of one decision: its gate and its comment, each with the decision's coefficient."""

from __future__ import annotations

import math

from engine.decoding.latents import Gate
from engine.methods.ra3.rewards import Group, decision_logprob, importance, log_complement
from engine.model.events import AnnotatedEvents, LatentEvents
from engine.model.tries import TrieBuilder
from engine.recipe.sections import Ra3


def ask_decision(
    trie: TrieBuilder, events: AnnotatedEvents | LatentEvents, group: Group, g: int, t: int, ra3: Ra3
) -> None:
    """Add the targets of rollout ``g``'s decision at line ``t`` to ``trie``: its gate, and the events of its comment.

    Their coefficient is that of the group; a comment's may be so as if the gate had stood open where exploration opened
    it (``ra3.estep.comment_weight``). A gate that was held open was no choice, and has no target. Old log-probabilities
    are q's when it drew, whose kernels and precision need not be those of the pass that trains.
    """
    rollout = group.rollouts[g]
    gate, coefficient = rollout.gates[t], float(group.coefficients[g, t])
    if gate is None:
        return
    if gate.behaviour_logprob < 0:
        trie.ask_whole(events.gate, "gate", coefficient, decision_logprob(gate), complement=not gate.think)
        if ra3.bound == "bernoulli":
            trie.ask_whole(events.gate, "gate", -float(group.weights.before[g, t]) * kl_slope(gate, ra3.alpha))
    if ra3.estep.comment_weight == "open":
        coefficient /= importance(gate)
    trie.ask(events.comment, "comment", coefficient, rollout.comment_logprobs[t])


def kl_slope(gate: Gate, alpha: float) -> float:
    """Derivative of `rewards.gate_kl` by log g, which no draw of the gate tells: the charge is the same for both."""
    log_think, log_act = gate.logprob_think, log_complement(gate.logprob_think)
    return math.exp(log_think) * (log_think - math.log(1 - alpha) - log_act + math.log(alpha))
