"""The stage ``ra3``: rounds of E-step and M-step."""

from __future__ import annotations

from engine.methods.ntp import train
from engine.methods.ra3.annotation import Chosen, choose
from engine.methods.ra3.estep import expectation
from engine.methods.ra3.heldout import measure_held_out, measure_latents
from engine.methods.ra3.rollouts import Actors
from engine.model.events import annotated_trie
from engine.runs.context import Context, State


def run(context: Context, state: State | None) -> None:
    """The stage ``ra3``: EM rounds of E-step and M-step, after which the policy is the last M-step's.

    Without an M-step (``ra3.mstep.tokens = 0``) the policy is the last E-step's q.
    """
    if state is None:
        _measure(context, 0)
    first = state["round"] if state else 0
    for round_ in range(first, context.recipe.ra3.rounds):
        if context.recipe.ra3.mstep.tokens == 0:
            q = expectation(context, round_, state).q
            context.policy.load_state_dict(q.state_dict())
        elif state is None or state["phase"] == "estep":
            chosen = _find_latents(context, round_, state)
            maximisation(context, round_, chosen, None)
        else:
            maximisation(context, round_, state["chosen"], state)
        state = None
        _measure(context, round_ + 1)


def _measure(context: Context, rounds: int) -> None:
    """Measure the policy as it is after so many rounds."""
    measure_held_out(context)
    measure_latents(context, rounds)


def _find_latents(context: Context, round_: int, state: State | None) -> Chosen:
    """The E-step: annotated traces from the posterior, by a q that learns it or by reweighting the policy's own."""
    if context.recipe.ra3.estep.method == "smc":
        policy = context.policy.frozen()
        return choose(context, Actors(policy, policy, policy), round_)
    return choose(context, expectation(context, round_, state), round_)


def maximisation(context: Context, round_: int, chosen: Chosen, state: State | None) -> None:
    """The M-step: next-token prediction on the annotated traces, comments and code alike."""
    begin = state["update"] if state else 0
    context.phase("mstep", round_, f"M-step {round_ + 1}/{context.recipe.ra3.rounds}", done=begin)
    tries = [annotated_trie(context.traces[index][1], comments) for index, comments in chosen]

    def place() -> State:
        return {"phase": "mstep", "round": round_, "chosen": chosen}

    train(context, tries, lambda: context.recipe.ra3.mstep, "mstep", state, place)
