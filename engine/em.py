"""The stage ``ra3``: rounds of E-step and M-step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from engine.branchtrees import branch_gradient
from engine.forest import imitate
from engine.measures import measure, record
from engine.ntp import measure_held_out, train
from engine.policy import Policy
from engine.ra3 import Group
from engine.rollouts import policy_gradient, roll_out
from engine.stage import Context, State, shuffled
from engine.trainer import Clip, Trainer, Update

Chosen = list[tuple[int, list[list[int] | None]]]
"""Annotated traces for the M-step: index of the trace, its comments."""


def run(context: Context, state: State | None) -> None:
    """The stage ``ra3``: EM rounds of E-step and M-step, after which the policy is the last M-step's."""
    if state is None:
        measure_held_out(context)
    first = state["round"] if state else 0
    for round_ in range(first, context.recipe.ra3.rounds):
        if state is None or state["phase"] == "estep":
            q = expectation(context, round_, state)
            chosen = choose(context, q, round_)
            del q
            state = None
        else:
            chosen = state["chosen"]
        maximisation(context, round_, chosen, state)
        state = None
        measure_held_out(context)


def expectation(context: Context, round_: int, state: State | None) -> Policy:
    """The E-step: q, a copy of the policy, learns latents that the frozen policy finds helpful."""
    settings = context.recipe.ra3.estep
    q = context.policy.clone()
    trainer = Trainer(q, settings.optimiser, context.recipe.compute, context.accelerator)
    begin = 0
    if state:
        q.model.load_state_dict(state["q"])
        trainer.load_state_dict(state["trainer"])
        begin = state["update"]
    context.phase("estep", round_, f"E-step {round_ + 1}/{context.recipe.ra3.rounds}", done=begin)
    order = shuffled(len(context.traces), context.seed("estep", round_))
    indices = list(islice(order, settings.updates * settings.traces))
    for number in range(begin + 1, settings.updates + 1):
        batch = indices[(number - 1) * settings.traces : number * settings.traces]
        explore = settings.explore * settings.explore_decay ** (number - 1)
        groups = roll_out(
            context, q, batch, context.recipe.ra3.group_size, explore, ("estep", round_, number), settings.mode
        )
        update = _improve(context, trainer, groups)
        record(context, groups, round_, "estep")

        def written(number: int = number) -> State:
            place = {"phase": "estep", "round": round_, "update": number}
            return {**place, "q": q.model.state_dict(), "trainer": trainer.state_dict()}

        metrics = measure(groups, context.recipe.ra3) | {"estep/explore": explore, "estep/loss": update.loss}
        context.finish_update(update, metrics, written)
        context.tell(number, settings.updates, "updates", f"reward {metrics['estep/reward']:.3f}")
    return q


def _improve(context: Context, trainer: Trainer, groups: Sequence[Group]) -> Update:
    """Take one update's passes over its rollouts; returns the last."""
    settings = context.recipe.ra3.estep
    clipped = settings.epochs > 1
    gradient = branch_gradient if settings.mode == "branch" else policy_gradient
    trees = [tree for group in groups for tree in gradient(group, context.recipe, clipped=clipped)]
    with context.clock("train"):
        for _ in range(settings.epochs):
            update = trainer.update(trees, Clip(settings.clip, settings.clip) if clipped else None)
    return update


def choose(context: Context, q: Policy, round_: int) -> Chosen:
    """Annotate traces with q for the M-step: one draw each, or the best of G by its bound.

    Always by trajectories, whatever the E-step's mode: what is imitated is a text whose latents see each other.
    """
    settings = context.recipe.ra3
    best = settings.mstep.select == "best"
    indices = list(islice(shuffled(len(context.traces), context.seed("annotate", round_)), settings.mstep.traces))
    context.phase("annotate", round_, f"annotate {round_ + 1}/{settings.rounds}")
    chosen: Chosen = []
    size = max(1, context.recipe.compute.decode_batch // (settings.group_size if best else 1))
    for i in range(0, len(indices), size):
        part = indices[i : i + size]
        groups = roll_out(context, q, part, settings.group_size if best else 1, 0.0, ("annotate", round_), "trajectory")
        kept = [group.keep_best() for group in groups]
        record(context, kept, round_, "mstep")
        chosen += [(index, group.rollouts[0].comments) for index, group in zip(part, kept, strict=True)]
        context.tell(i + len(part), len(indices), "traces")
    return chosen


def maximisation(context: Context, round_: int, chosen: Chosen, state: State | None) -> None:
    """The M-step: next-token prediction on the annotated traces, comments and code alike."""
    begin = state["update"] if state else 0
    context.phase("mstep", round_, f"M-step {round_ + 1}/{context.recipe.ra3.rounds}", done=begin)
    trees = [imitate(context.traces[index][1], comments) for index, comments in chosen]
    settings = context.recipe.ra3.mstep

    def place() -> State:
        return {"phase": "mstep", "round": round_, "chosen": chosen}

    train(context, trees, settings, "mstep", state, place)
