"""The E-step by policy gradient: q learns latents that its scorer finds helpful."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch

from engine.methods.ra3.branch_scoring import branch_gradient
from engine.methods.ra3.lexicon import collapse, lexicon
from engine.methods.ra3.measures import measure, record
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.rollouts import Actors, roll_out
from engine.methods.ra3.scoring import policy_gradient
from engine.model.policy import Policy
from engine.runs.context import Context, State, shuffled
from engine.training.trainer import Clip, Trainer, Update


def expectation(context: Context, round_: int, state: State | None) -> Actors:
    """Train q, a copy of the policy, for a round; returns it and its scorer."""
    settings = context.recipe.ra3.estep
    actors = _actors(context)
    trainer = context.trainer(actors.q, settings.optimiser)
    begin = _restore(actors, trainer, state) if state else 0
    context.phase("estep", round_, f"E-step {round_ + 1}/{context.recipe.ra3.rounds}", done=begin)
    order = shuffled(len(context.traces), context.seed("estep", round_))
    indices = list(islice(order, settings.updates * settings.traces))
    alarm = None
    for number in range(begin + 1, settings.updates + 1):
        batch = indices[(number - 1) * settings.traces : number * settings.traces]
        explore = settings.explore * settings.explore_decay ** (number - 1)
        label = ("estep", round_, number)
        trainer.optimiser = context.recipe.ra3.estep.optimiser
        size = context.recipe.ra3.group_size
        groups = roll_out(context, actors, context.traces, batch, size, explore, label, settings.mode)
        update = _improve(context, trainer, groups)
        if settings.scorer != "frozen":
            follow(actors.reference, actors.q, settings.ema_decay)
        record(context, groups, round_, "estep")

        def written(number: int = number) -> State:
            place = {"phase": "estep", "round": round_, "update": number, "trainer": trainer.state_dict()}
            mean = actors.reference.state_dict() if settings.scorer != "frozen" else None
            return {**place, "q": actors.q.state_dict(), "mean": mean}

        metrics = measure(groups, context.recipe.ra3, "estep") | lexicon(groups, actors.q.decode, "estep")
        metrics |= {"estep/explore": explore, "estep/loss": update.loss}
        alarm = _tell_collapse(context, collapse(metrics, "estep"), alarm)
        context.finish_update(update, metrics, written)
        context.tell(number, settings.updates, "updates", f"reward {metrics['estep/reward']:.3f}")
    return actors


def _actors(context: Context) -> Actors:
    q, before = context.policy.clone(), context.policy.frozen()
    if context.recipe.ra3.estep.scorer == "frozen":
        return Actors(q, before, before)
    mean = context.policy.clone()
    return Actors(q, q if context.recipe.ra3.estep.scorer == "self" else mean, mean)


def _restore(actors: Actors, trainer: Trainer, state: State) -> int:
    """Put a checkpoint's weights in place; returns how many updates it had taken."""
    actors.q.load_state_dict(state["q"])
    if state["mean"] is not None:
        actors.reference.load_state_dict(state["mean"])
    trainer.load_state_dict(state["trainer"])
    return int(state["update"])


@torch.no_grad()
def follow(mean: Policy, policy: Policy, decay: float) -> None:
    """Move ``mean`` towards ``policy``: decay * mean + (1 - decay) * policy, weight by weight."""
    for kept, new in zip(mean.parameters, policy.parameters, strict=True):
        kept.lerp_(new, 1 - decay)


def _improve(context: Context, trainer: Trainer, groups: Sequence[Group]) -> Update:
    """Take one update's passes over its rollouts; returns the last."""
    settings = context.recipe.ra3.estep
    clipped = settings.epochs > 1
    gradient = branch_gradient if settings.mode == "branch" else policy_gradient
    tries = [trie for group in groups for trie in gradient(group, context.recipe, clipped=clipped)]
    for _ in range(settings.epochs):
        update = context.update(trainer, tries, Clip(settings.clip, settings.clip) if clipped else None)
    return update


def _tell_collapse(context: Context, alarm: str | None, before: str | None) -> str | None:
    """Warn when the latents collapse, once until they have recovered; returns the alarm that stands."""
    if alarm is not None and before is None:
        context.warn("collapse", alarm)
    return alarm
