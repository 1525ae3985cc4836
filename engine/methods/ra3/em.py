"""The stage ``ra3``: rounds of E-step and M-step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle

from engine.methods.heldout import measure_held_out
from engine.methods.imitation import Material, train
from engine.methods.ra3.annotation import choose, mstep_batches
from engine.methods.ra3.estep import expectation
from engine.methods.ra3.heldout import measure_latents
from engine.methods.ra3.rollouts import Actors
from engine.methods.ra3.states import Chosen, EmState, EstepState, MstepState, read
from engine.model.events import annotated_trie
from engine.runs.stages.context import Context
from engine.runs.stages.stage import Stage, TrainingState


def run(context: Context, state: EmState | None) -> None:
    """The stage ``ra3``: EM rounds of E-step and M-step, after which the policy is the last M-step's.

    Without an M-step (``ra3.mstep.tokens = 0``) the policy is the last E-step's q.
    """
    if state is None:
        _measure(context, 0)
    for round_ in range(state.round if state else 0, context.recipe.ra3.rounds):
        _round(context, round_, state)
        state = None
        _measure(context, round_ + 1)


RA3 = Stage("ra3", run, read)


def _round(context: Context, round_: int, state: EmState | None) -> None:
    if isinstance(state, MstepState):
        maximisation(context, round_, state.chosen, state.training)
    elif context.recipe.ra3.mstep.tokens == 0:
        q = expectation(context, round_, state).q
        context.policy.load_state_dict(q.state_dict())
    else:
        maximisation(context, round_, _find_latents(context, round_, state), None)


def _measure(context: Context, rounds: int) -> None:
    """Measure the policy as it is after so many rounds."""
    measure_held_out(context)
    measure_latents(context, rounds)


def _find_latents(context: Context, round_: int, state: EstepState | None) -> Chosen:
    """The E-step: annotated traces from the posterior, by a q that learns it or by reweighting the policy's own."""
    if context.recipe.ra3.estep.method == "smc":
        policy = context.policy.frozen()
        return choose(context, Actors(policy, policy, policy), round_)
    return choose(context, expectation(context, round_, state), round_)


def maximisation(context: Context, round_: int, chosen: Chosen, state: TrainingState | None) -> None:
    """The M-step: next-token prediction on the annotated traces, comments and code alike."""
    title = f"M-step {round_ + 1}/{context.recipe.ra3.rounds}"
    context.display.phase("mstep", context.position, round_, title=title, done=state.update if state else 0)
    tries = [annotated_trie(context.traces[index][1], comments) for index, comments in chosen]
    places: dict[int, list[int]] = defaultdict(list)
    for place, (index, _) in enumerate(chosen):
        places[index].append(place)

    def batches() -> Iterator[list[int]]:
        """The traces in the order of the corpus, the annotations of each in turn."""
        turns = {index: cycle(of_trace) for index, of_trace in places.items()}
        for batch in mstep_batches(context, round_):
            yield [next(turns[index]) for index in batch]

    def stage_state(training: TrainingState) -> MstepState:
        return MstepState(round_, training, chosen)

    material = Material(tries, batches, round_, context.recipe.ra3.rounds)
    train(context, material, lambda: context.recipe.ra3.mstep, "mstep", state, stage_state)
