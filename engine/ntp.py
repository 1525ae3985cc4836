"""The next-token baseline: imitate the expert's lines, without latents or with comments that were written before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine import recipe
from engine.comments import find_comments
from engine.forest import imitate
from engine.heldout import measure_held_out
from engine.packing import Tree
from engine.stage import Context, State, plan_batches


def run(context: Context, state: State | None) -> None:
    """The stage ``ntp``: one pass of maximum likelihood over a budget of tokens."""
    context.phase("ntp", done=state["update"] if state else 0)
    if state is None:
        measure_held_out(context)
    trees = _trees(context)
    train(context, trees, lambda: context.recipe.ntp, "ntp", state)
    measure_held_out(context)


def _trees(context: Context) -> list[Tree]:
    """What is imitated: each trace, with the comments that the recipe asks for."""
    comments = find_comments(context.recipe.ntp, [trace for trace, _ in context.traces])
    told = [comments.of(trace) for trace, _ in context.traces]
    if context.recipe.ntp.comments != "none":
        commented, total = sum(any(row) for row in told), sum(text is not None for row in told for text in row)
        note = f"{total} comments in {commented} of {len(told)} traces; left out: {comments.account()}"
        context.writer.event("comments", note)
    encode = context.policy.encode
    return [
        imitate(encoded, [None if text is None else encode(text) for text in row])
        for (_, encoded), row in zip(context.traces, told, strict=True)
    ]


def train(
    context: Context,
    trees: Sequence[Tree],
    settings: Callable[[], recipe.Imitation],
    prefix: str,
    state: State | None,
    place: Callable[[], State] = dict,
) -> None:
    """Maximise the likelihood of the targets of ``trees`` until its budget of tokens went through the model.

    ``settings`` are read again before each update; ``place`` gives what a checkpoint holds beside the trainer's state.
    """
    budget = settings()
    trainer = context.trainer(context.policy, budget.optimiser)
    begin = 0
    if state:
        trainer.load_state_dict(state["trainer"])
        begin = state["update"]
    sizes = [len(tree.ids) for tree in trees]
    batches = plan_batches(sizes, budget.step_tokens, budget.tokens, context.seed(prefix, "order"))
    for number, batch in enumerate(batches[begin:], begin + 1):
        trainer.optimiser = settings().optimiser
        update = context.update(trainer, [trees[index] for index in batch])

        def written(number: int = number) -> State:
            return {**place(), "trainer": trainer.state_dict(), "update": number}

        losses = {f"{prefix}/loss_{label}": -mean for label, mean in update.mean_logprob.items()}
        context.finish_update(update, {"loss": update.loss} | losses, written)
        context.tell(number, len(batches), "updates", f"loss {update.loss:.3f}")
