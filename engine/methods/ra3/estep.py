"""The E-step by policy gradient: q learns latents that its scorer finds helpful."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Literal

import torch

from engine.methods.ra3.branch_scoring import branch_gradient
from engine.methods.ra3.lexicon import collapse, lexicon
from engine.methods.ra3.measures import measure, record
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.rollouts import Actors, LatentSampling, roll_out
from engine.methods.ra3.scoring import policy_gradient
from engine.methods.ra3.states import EstepState
from engine.model.encoding import comment_text
from engine.model.policy import Policy
from engine.runs.stages.context import Context
from engine.runs.stages.seeds import shuffled
from engine.runs.stages.stage import TrainingState
from engine.training.epochs import mean_loss, train_epochs
from engine.training.objectives import Clip
from engine.training.trainer import Trainer, Update


def expectation(context: Context, round_: int, state: EstepState | None) -> Actors:
    """Train q, a copy of the policy, for a round; returns it and its scorer."""
    settings = context.recipe.ra3.estep
    actors = _actors(context)
    trainer = context.trainer(actors.q, settings.optimiser)
    begin = _restore(actors, trainer, state) if state else 0
    title = f"E-step {round_ + 1}/{context.recipe.ra3.rounds}"
    context.display.phase("estep", context.position, round_, title=title, done=begin)
    order = shuffled(len(context.traces), context.seeds("estep", round_))
    indices = list(islice(order, settings.updates * settings.traces))
    alarm = None
    for number in range(begin + 1, settings.updates + 1):
        batch = indices[(number - 1) * settings.traces : number * settings.traces]
        explore = settings.explore * settings.explore_decay ** (number - 1)
        taken, planned = round_ * settings.updates + number - 1, context.recipe.ra3.rounds * settings.updates
        trainer.prepare(context.recipe.ra3.estep.optimiser, taken, planned)
        groups = _rolled_out(context, actors, batch, explore, ("estep", round_, number))
        steps = _improve(context, trainer, groups)
        if settings.scorer != "frozen":
            follow(actors.reference, actors.q, settings.ema_decay)
        record(context.writer, groups, context.recipe.ra3, partial(comment_text, context.policy), round_, "estep")

        def state_now(number: int = number) -> EstepState:
            mean = actors.reference.state_dict() if settings.scorer != "frozen" else None
            training = TrainingState(trainer.state_dict(), number)
            return EstepState(round_, training, actors.q.state_dict(), mean)

        metrics = measure(groups, context.recipe.ra3, "estep") | lexicon(groups, actors.q.decode, "estep")
        metrics |= {"estep/explore": explore, "estep/loss": mean_loss(steps)}
        alarm = _tell_collapse(context, collapse(metrics, "estep"), alarm)
        context.finish_update(steps, metrics, state_now)
        context.display.tell(number, settings.updates, "updates", f"reward {metrics['estep/reward']:.3f}")
    return actors


def _rolled_out(
    context: Context, actors: Actors, batch: list[int], explore: float, labels: tuple[object, ...]
) -> list[Group]:
    settings = context.recipe.ra3
    mode: Literal["trajectory", "branch"] = "branch" if settings.estep.mode == "branch" else "trajectory"
    sampling = LatentSampling(settings.group_size, explore, mode)
    seed = partial(context.seeds, *labels)
    return roll_out(context.resources, settings, actors, context.traces, batch, sampling, seed)


def _actors(context: Context) -> Actors:
    q, before = context.policy.clone(), context.policy.frozen()
    if context.recipe.ra3.estep.scorer == "frozen":
        return Actors(q, before, before)
    mean = context.policy.clone()
    return Actors(q, q if context.recipe.ra3.estep.scorer == "self" else mean, mean)


def _restore(actors: Actors, trainer: Trainer, state: EstepState) -> int:
    """Put a checkpoint's weights in place; returns how many updates it had taken."""
    actors.q.load_state_dict(state.q)
    if state.mean is not None:
        actors.reference.load_state_dict(state.mean)
    return state.training.restore(trainer)


@torch.no_grad()
def follow(mean: Policy, policy: Policy, decay: float) -> None:
    """Move ``mean`` towards ``policy``: decay * mean + (1 - decay) * policy, weight by weight."""
    for kept, new in zip(mean.parameters, policy.parameters, strict=True):
        kept.lerp_(new, 1 - decay)


def _improve(context: Context, trainer: Trainer, groups: Sequence[Group]) -> list[Update]:
    """Take one update's steps, a pass over its rollouts each."""
    settings, compute = context.recipe.ra3, context.memory.compute
    gradient = branch_gradient if settings.estep.mode == "branch" else policy_gradient
    tries = [trie for group in groups for trie in gradient(group, settings, compute)]
    with context.ledger.clock("train"):
        return train_epochs(trainer, tries, Clip(settings.estep.clip, settings.estep.clip), settings.estep.epochs)


def _tell_collapse(context: Context, alarm: str | None, before: str | None) -> str | None:
    """Warn when the latents collapse, once until they have recovered; returns the alarm that stands."""
    if alarm is not None and before is None:
        context.display.warn("collapse", alarm)
    return alarm
