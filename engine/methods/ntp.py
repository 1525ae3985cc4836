"""The next-token baseline: imitate the expert's lines, without latents or with comments that were written before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from engine.corpora.comments import find_comments
from engine.errors import UsageFault
from engine.methods.ra3.heldout import measure_held_out
from engine.model.events import annotated_trie
from engine.model.tries import Trie
from engine.recipe.sections import Imitation
from engine.runs.context import Context, State, plan_batches


def run(context: Context, state: State | None) -> None:
    """The stage ``ntp``: one pass of maximum likelihood over a budget of tokens."""
    context.phase("ntp", done=state["update"] if state else 0)
    if state is None:
        measure_held_out(context)
    train(context, _tries(context), lambda: context.recipe.ntp, "ntp", state, seconds=_seconds(context))
    measure_held_out(context)


def _seconds(context: Context) -> float | None:
    """The budget in seconds, where that is what the recipe gives.

    Raises:
        UsageFault: it is that of an arm which has not trained.
    """
    arm = context.recipe.ntp.as_long_as
    seconds = context.recipe.ntp.seconds if arm is None else context.ranks.from_first(lambda: _spent_by(context, arm))
    if seconds is not None:
        context.writer.metrics({"ntp/budget_seconds": seconds})
    return seconds


def _spent_by(context: Context, arm: str) -> float:
    spent = context.writer.spent_by(arm)
    if spent is None:
        raise UsageFault(
            f"ntp.as_long_as = {arm!r}: no arm of that name has trained in this launch; put it before this one"
        )
    return spent


def _tries(context: Context) -> list[Trie]:
    """What is imitated: each trace, with the comments that the recipe asks for."""
    comments = find_comments(context.recipe.ntp, [trace for trace, _ in context.traces])
    told = [comments.of(trace) for trace, _ in context.traces]
    if context.recipe.ntp.comments != "none":
        commented, total = sum(any(row) for row in told), sum(text is not None for row in told for text in row)
        note = f"{total} comments in {commented} of {len(told)} traces; left out: {comments.account()}"
        context.writer.event("comments", note)
    encode = context.policy.encode
    return [
        annotated_trie(encoded, [None if text is None else encode(text) for text in row])
        for (_, encoded), row in zip(context.traces, told, strict=True)
    ]


def train(
    context: Context,
    tries: Sequence[Trie],
    settings: Callable[[], Imitation],
    prefix: str,
    state: State | None,
    place: Callable[[], State] = dict,
    seconds: float | None = None,
) -> None:
    """Maximise the likelihood of the targets of ``tries`` until its budget of tokens went through the model.

    With ``seconds`` it goes on until the stage has taken so many instead, measuring left out. ``settings`` are read
    again before each update; ``place`` gives what a checkpoint holds beside the trainer's state.
    """
    budget = settings()
    trainer = context.trainer(context.policy, budget.optimiser)
    begin = 0
    if state:
        trainer.load_state_dict(state["trainer"])
        begin = state["update"]
    sizes = list(map(len, tries))
    tokens = budget.tokens if seconds is None else math.inf
    plan = partial(plan_batches, sizes, budget.step_tokens, tokens, context.seed(prefix, "order"))
    total = sum(1 for _ in plan()) if seconds is None else math.ceil(seconds)
    for number, batch in enumerate(islice(plan(), begin, None), begin + 1):
        if seconds is not None and context.ranks.any(context.spent() >= seconds):
            return
        trainer.optimiser = settings().optimiser
        update = context.update(trainer, [tries[index] for index in batch])

        def written(number: int = number) -> State:
            return {**place(), "trainer": trainer.state_dict(), "update": number}

        losses = {f"{prefix}/loss_{label}": -mean for label, mean in update.mean_logprob.items()}
        context.finish_update(update, {"loss": update.loss} | losses, written)
        done = (number, total, "updates") if seconds is None else (min(int(context.spent()), total), total, "seconds")
        context.tell(*done, f"loss {update.loss:.3f}")
