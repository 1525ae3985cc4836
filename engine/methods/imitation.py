"""Imitation: the likelihood of targets is maximised until a budget is spent; NTP and the M-step do nothing else.

Both walk the corpus in one order that follows from the recipe's seed, and count a trace by its tokens without comments.
With equal budgets they see the same traces equally often, whatever comments stand in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from engine.model.tries import Trie
from engine.recipe.sections import Imitation
from engine.runs.corpus import length
from engine.runs.stages.checkpointer import StageState
from engine.runs.stages.context import Context
from engine.runs.stages.seeds import shuffled
from engine.runs.stages.stage import TrainingState

ORDER = "imitation"
"""Label of the seed of the order that all stages of all arms share."""


def plan_batches(
    sizes: Sequence[int], step_tokens: int, budget: float, seed: int, begin: int = 0, most: int | None = None
) -> Iterator[list[int]]:
    """Indices of each update's sequences: at least ``step_tokens`` an update, until ``budget`` tokens are reached.

    Args:
        sizes: tokens of each sequence.
        step_tokens: of an update, at least.
        budget: tokens, counted from the beginning of the order.
        seed: of the order.
        begin: tokens of the order that were seen before: sequences are passed over until they are reached.
        most: how many different sequences may come, the first of the order; others are passed over uncounted.
    """
    batch: list[int] = []
    pool: set[int] = set()
    held = total = 0
    for index in shuffled(len(sizes), seed):
        if total < begin:
            total += sizes[index]
            continue
        if len(pool) == most and index not in pool:
            continue
        pool.add(index)
        batch.append(index)
        held += sizes[index]
        if held >= step_tokens or total + held >= budget:
            yield batch
            total += held
            batch, held = [], 0
        if not batch and total >= budget:
            return


def corpus_batches(
    context: Context, settings: Imitation, budget: float, begin: int = 0, most: int | None = None
) -> Iterator[list[int]]:
    """`plan_batches` over the run's traces, each counted without comments, in the order that all arms share."""
    sizes = [length(encoded) for _, encoded in context.traces]
    return plan_batches(sizes, settings.step_tokens, budget, context.seeds.common(ORDER), begin, most)


@dataclass(frozen=True, slots=True)
class Material:
    """What is imitated, and in which order."""

    tries: Sequence[Trie]
    batches: Callable[[], Iterator[list[int]]]
    """Begins the order anew: the places in ``tries`` of each update's."""
    round: int = 0
    rounds: int = 1
    """Equal parts of the stage, over which its schedule goes on; this is part ``round``."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a stage may use up where its material has no end."""

    amount: float
    unit: Literal["seconds", "gigaflop"]
    spent: Callable[[], float]
    """*Collective.* How much the stage has used, the same on every rank: the learning rate follows from it."""


def train(
    context: Context,
    material: Material,
    settings: Callable[[], Imitation],
    prefix: str,
    state: TrainingState | None,
    stage_state: Callable[[TrainingState], StageState] = lambda training: training,
    budget: Budget | None = None,
) -> None:
    """*Collective.* Maximise the likelihood of the targets of ``material`` until it ends, or a ``budget`` is spent.

    Args:
        context: whose policy is trained.
        material: what is imitated.
        settings: read again before each update.
        prefix: of the metrics.
        state: where to go on.
        stage_state: what a checkpoint holds, given where this loop stands.
        budget: ends with the update that reaches it.
    """
    trainer = context.trainer(context.policy, settings().optimiser)
    begin = state.restore(trainer) if state else 0
    total = sum(1 for _ in material.batches()) if budget is None else max(1, math.ceil(budget.amount))
    for number, batch in enumerate(islice(material.batches(), begin, None), begin + 1):
        spent = 0.0 if budget is None else budget.spent()
        if budget is not None and spent >= budget.amount:
            return
        planned = total if budget is None else estimated_updates(number - 1, spent / budget.amount)
        trainer.prepare(settings().optimiser, material.round * total + number - 1, material.rounds * planned)
        with context.ledger.clock("train"):
            update = trainer.update([material.tries[index] for index in batch])

        def state_now(number: int = number) -> StageState:
            return stage_state(TrainingState(trainer.state_dict(), number))

        losses = {f"{prefix}/loss_{label}": -mean for label, mean in update.mean_logprob.items()}
        context.finish_update([update], {"loss": update.loss} | losses, state_now)
        done = number if budget is None else min(int(budget.spent()), total)
        context.display.tell(done, total, "updates" if budget is None else budget.unit, f"loss {update.loss:.3f}")


def estimated_updates(taken: int, share: float) -> float:
    """How many updates a budget will hold of which ``taken`` used up a ``share``; infinite where nothing is known."""
    return taken / share if share > 0 and taken else math.inf
