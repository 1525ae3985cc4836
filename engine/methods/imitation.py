"""Imitation: the likelihood of targets is maximised until a budget is spent; NTP and the M-step do nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from engine.model.tries import Trie
from engine.recipe.sections import Imitation
from engine.runs.stages.checkpointer import StageState
from engine.runs.stages.context import Context
from engine.runs.stages.seeds import shuffled
from engine.runs.stages.stage import TrainingState


def plan_batches(sizes: Sequence[int], step_tokens: int, budget: float, seed: int) -> Iterator[list[int]]:
    """Indices of each update's sequences: at least ``step_tokens`` an update, until ``budget`` tokens are reached."""
    batch: list[int] = []
    held = total = 0
    for index in shuffled(len(sizes), seed):
        batch.append(index)
        held += sizes[index]
        if held >= step_tokens or total + held >= budget:
            yield batch
            total += held
            batch, held = [], 0
        if total >= budget:
            return


def train(
    context: Context,
    tries: Sequence[Trie],
    settings: Callable[[], Imitation],
    prefix: str,
    state: TrainingState | None,
    stage_state: Callable[[TrainingState], StageState] = lambda training: training,
    seconds: float | None = None,
) -> None:
    """*Collective.* Maximise the likelihood of the targets of ``tries`` until a budget of tokens is spent.

    Args:
        context: whose policy is trained.
        tries: what is imitated.
        settings: read again before each update.
        prefix: of the metrics, and of the seed of the order.
        state: where to go on.
        stage_state: what a checkpoint holds, given where this loop stands.
        seconds: go on until the stage has taken so many instead, measuring left out.
    """
    budget = settings()
    trainer = context.trainer(context.policy, budget.optimiser)
    begin = state.restore(trainer) if state else 0
    sizes, tokens = list(map(len, tries)), budget.tokens if seconds is None else math.inf
    plan = partial(plan_batches, sizes, budget.step_tokens, tokens, context.seeds(prefix, "order"))
    total = sum(1 for _ in plan()) if seconds is None else math.ceil(seconds)
    for number, batch in enumerate(islice(plan(), begin, None), begin + 1):
        if seconds is not None and context.ranks.any(context.ledger.spent() >= seconds):
            return
        trainer.optimiser = settings().optimiser
        with context.ledger.clock("train"):
            update = trainer.update([tries[index] for index in batch])

        def state_now(number: int = number) -> StageState:
            return stage_state(TrainingState(trainer.state_dict(), number))

        losses = {f"{prefix}/loss_{label}": -mean for label, mean in update.mean_logprob.items()}
        context.finish_update(update, {"loss": update.loss} | losses, state_now)
        done = number if seconds is None else min(int(context.ledger.spent()), total)
        context.display.tell(done, total, "updates" if seconds is None else "seconds", f"loss {update.loss:.3f}")
