"""The next-token baseline: imitate the expert's lines, without latents or with comments that were written before."""

from __future__ import annotations

from engine.corpora.comments import find_comments
from engine.errors import UsageFault
from engine.methods.heldout import measure_held_out
from engine.methods.imitation import train
from engine.model.encoding import encode_comment
from engine.model.events import annotated_trie
from engine.model.tries import Trie
from engine.runs.stages.context import Context
from engine.runs.stages.stage import Stage, TrainingState


def run(context: Context, state: TrainingState | None) -> None:
    """The stage ``ntp``: one pass of maximum likelihood over a budget of tokens."""
    context.display.phase("ntp", context.position, done=state.update if state else 0)
    if state is None:
        measure_held_out(context)
    train(context, _tries(context), lambda: context.recipe.ntp, "ntp", state, seconds=_seconds(context))
    measure_held_out(context)


NTP = Stage("ntp", run, TrainingState.read)


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
    rows = [comments.of(trace) for trace, _ in context.traces]
    if context.recipe.ntp.comments != "none":
        commented, total = sum(any(row) for row in rows), sum(text is not None for row in rows for text in row)
        note = f"{total} comments in {commented} of {len(rows)} traces; left out: {comments.account()}"
        context.writer.event("comments", note)
    policy = context.policy
    return [
        annotated_trie(encoded, [None if text is None else encode_comment(policy, text) for text in row])
        for (_, encoded), row in zip(context.traces, rows, strict=True)
    ]
