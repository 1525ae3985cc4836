"""A device is asked for values once a step of decoding, once a scoring, twice an update; never a token or a batch."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from accelerate import Accelerator

from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.decoder import Decoder, Row, Turn
from engine.decoding.drawing import draw
from engine.decoding.latents import annotate
from engine.model.events import add_annotated
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Compute, Optimiser
from engine.runs.stages.costs import Meter
from engine.training.memory import MemoryGuard
from engine.training.scoring import micro_batches, score
from engine.training.trainer import Trainer
from tests.engine.tiny import encoded, tiny_policy
from tests.engine.waits import Waits

SMALL = Compute(row_tokens=64)


@pytest.fixture
def policy() -> Policy:
    """With a meter, as in a run, and all that is made once."""
    made = tiny_policy().clone()
    Meter(made)
    assert made.supports is not None
    return made


def tries() -> list[Trie]:
    """Of several micro-batches, with lines, comments that end, and gates."""
    built = []
    for trace in encoded():
        trie = TrieBuilder()
        comments = [[5, 6] if prefix else None for prefix in trace.gates]
        for gate, comment, line in add_annotated(trie, trace, comments, max_latent_tokens=4):
            for events, label in ((comment, "comment"), (line.tokens, "line")):
                trie.ask(events, label)
            if gate.nodes:
                trie.ask_whole(gate, "gate")
        built.append(trie.build())
    assert len(micro_batches(built, SMALL)) > 1
    return built


def test_an_update_waits_for_its_sums_and_for_the_norm_whatever_its_micro_batches(policy: Policy) -> None:
    trainer = Trainer(policy, Optimiser(), MemoryGuard(SMALL), Accelerator(cpu=True))
    with Waits() as waits:
        trainer.update(tries())
    assert waits.seen.pop("__float__") == 1
    waits.seen.pop("tolist")  # of sums that have come over
    assert waits.crossings() == 1


def test_a_scoring_waits_once_whatever_its_micro_batches(policy: Policy) -> None:
    with Waits() as waits:
        score(policy, tries(), SMALL)
    assert waits.crossings() == 1


@pytest.mark.parametrize("batch_size", [2, 12])
def test_a_step_waits_once_whatever_its_rows_draw_and_ask(policy: Policy, batch_size: int) -> None:
    def row(number: int) -> Row[int]:
        text = [3 + number] * (1 + number)
        for _ in range(5):
            yield Turn([2, *text[:-1]], score=text) if number % 2 else Turn([2, 3], uniform=0.5)
        return number

    decoder = Decoder(policy, [row(number) for number in range(12)], partial(draw, temperature=1.0), batch_size)
    steps = []
    with Waits() as waits:
        decoder.run(should_stop=lambda: steps.append(1) is not None)
    assert waits.seen.pop("nonzero", 0) <= 1
    assert waits.crossings() == len(steps) - 1  # asked once more than there are steps


def test_the_pieces_of_the_e_step_ask_for_no_value_of_their_own(policy: Policy) -> None:
    many = [trace for trace in encoded() for _ in range(2)]
    for drawing, passes in ((annotate, 1), (annotate_branches, 2)):
        steps: list[int] = []
        with Waits() as waits:
            drawing(
                policy,
                many,
                range(len(many)),
                max_latent_tokens=3,
                explore=1.0,
                should_stop=lambda steps=steps: steps.append(1) is not None,
            )
        assert waits.seen.pop("nonzero", 0) <= 2  # which tokens are newlines, once for all steps
        assert waits.crossings() <= len(steps) * passes


def test_a_meter_is_read_between_passes_alone(policy: Policy) -> None:
    meter = Meter(policy)
    with Waits() as waits, torch.no_grad():
        policy.hidden(torch.ones(1, 3, dtype=torch.long), torch.arange(3)[None], torch.ones(1, 1, 3, 3).tril().bool())
    assert not waits.seen
    assert meter.take() > 0
