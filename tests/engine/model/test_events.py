"""What is asked of an annotated trace: by imitation every token of it, by the E-step its decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.model.encoding import EncodedTrace
from engine.model.events import add_annotated, annotated_trie, bare_trie
from engine.model.logprobs import logprobs
from engine.model.tries import TrieBuilder, collate
from tests.engine.tiny import encoded, slow_comment, tiny_policy

A, B, C = 5, 6, 7
TRACE = EncodedTrace([1, 2], [[10, 11], [12, 13], [14]], [[20, 21], None, [22, 21]])


def test_imitation_asks_for_every_token_behind_the_prompt_by_what_it_is() -> None:
    """One latent before the first line, none where none may stand, and ACT before the last."""
    targets = annotated_trie(TRACE, [[A, B], None, None]).targets
    labels = [targets.names[label] for label in targets.labels]
    assert list(zip(targets.tokens.tolist(), labels, strict=True)) == [
        (20, "gate"),
        (21, "gate"),
        (A, "comment"),
        (B, "comment"),
        *((token, "code") for token in (10, 11, 12, 13, 14)),
    ]
    assert targets.coefficients.tolist() == [1.0] * 9
    assert targets.nodes.tolist() == list(range(1, 10))  # each behind the one before it
    assert np.isnan(targets.old).all()


def test_imitation_asks_for_the_end_of_the_document_which_held_out_code_does_not() -> None:
    ending = replace(TRACE, end=(3,))
    targets = annotated_trie(ending, [None, None, None]).targets
    assert (int(targets.tokens[-1]), targets.names[targets.labels[-1]]) == (3, "end")
    assert targets.nodes.tolist() == list(range(1, 7))
    assert bare_trie(ending).targets.tokens.tolist() == [10, 11, 12, 13, 14]


def test_a_trace_ends_with_what_ends_a_completion() -> None:
    policy = tiny_policy()
    assert {trace.end for trace in encoded()} == {policy.bos}
    assert set(policy.bos) <= policy.eos


@pytest.mark.parametrize("ended", [True, False])
def test_the_events_of_a_comment_are_over_what_may_stand_in_one(ended: bool) -> None:
    policy, trace = tiny_policy(), encoded()[0]
    t = next(t for t, prefix in enumerate(trace.gates) if prefix)
    comment = policy.encode(" keep the order")
    trie = TrieBuilder()
    comments = [comment if line == t else None for line in range(len(trace.lines))]
    events = add_annotated(trie, trace, comments, max_latent_tokens=len(comment) + ended)[t]
    trie.ask(events.comment, "comment")
    with torch.no_grad():
        ours = logprobs(policy, collate([[trie.build()]])).tolist()
    before = [*trace.prompt, *(token for line in trace.lines[:t] for token in line), *(trace.gates[t] or [])]
    assert ours == pytest.approx(slow_comment(policy, before, comment, ended=ended), abs=2e-4)
