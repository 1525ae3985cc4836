"""Packed tries give each sequence the log-probabilities it has alone."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.logprobs import log1mexp, logprobs
from engine.model.policy import Policy, Support
from engine.model.tries import NEW_LINE, Events, Trie, TrieBuilder, collate, pack
from tests.engine.toy import toy_policy

SEQUENCES = [[2, 3, 0, 2], [2, 3, 0, 3, 1, 2], [2, 3, 1], [3, 0, 0, 1, 2]]


def alone(policy: Policy, ids: list[int]) -> list[float]:
    """Log-probability of each token after the first, by the model itself, uncached and unpacked."""
    with torch.no_grad():
        table = policy.model(torch.tensor([ids])).logits.log_softmax(-1)[0]
    return [float(table[i, token]) for i, token in enumerate(ids[1:])]


def ask_all(trie: TrieBuilder, ids: list[int]) -> None:
    """Put a sequence into ``trie``, every token after the first a target."""
    events, _ = trie.chain(ids[1:], trie.add(ids[:1])[-1])
    trie.ask(events, "t")


def trie_of(*sequences: list[int]) -> Trie:
    trie = TrieBuilder()
    for ids in sequences:
        ask_all(trie, ids)
    return trie.build()


def event(node: int, token: int, support: Support = Support.ANY) -> Events:
    return Events([node], [token], [support])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_branches_and_packed_neighbours_do_not_see_each_other(attention: str) -> None:
    policy = toy_policy(seed=0, layers=2)
    policy.model.set_attn_implementation(attention)
    tries = [trie_of(*SEQUENCES[:3]), trie_of(SEQUENCES[3])]  # the first three share a beginning: branches
    found = logprobs(policy, collate([tries])).tolist()
    expected = [value for ids in SEQUENCES for value in alone(policy, ids)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_common_beginning_is_held_once() -> None:
    assert len(trie_of(*SEQUENCES[:3])) == 8  # 2 3, then 0 with 2 | 3 1 2, then 1


sequences = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=8)


@given(sequences)
@settings(deadline=None)
def test_a_nodes_descendants_are_the_run_behind_it(given_sequences: list[list[int]]) -> None:
    """Against ancestors walked one by one: depths, last descendants, and whom each node attends to."""
    trie = TrieBuilder()
    ends = [trie.add(ids)[-1] for ids in given_sequences]
    places, built = trie.places(), trie.build()
    above: list[set[int]] = []
    for node, parent in enumerate(built.parents.tolist()):
        assert parent < node
        above.append({node} | (above[parent] if parent >= 0 else set()))
    mask = collate([[built]]).mask[0, 0]
    for node in range(len(built)):
        assert built.depths[node] == len(above[node]) - 1
        assert built.last[node] == max(q for q in range(len(built)) if node in above[q])
        assert set(mask[node].nonzero()[:, 0].tolist()) == above[node]
    for ids, end in zip(given_sequences, ends, strict=True):
        path = sorted(above[places[end]])
        assert built.tokens[path].tolist() == ids


@pytest.mark.medium
@given(st.lists(sequences, min_size=1, max_size=3), st.lists(sequences, max_size=2))
@settings(deadline=None)
def test_packing_is_concatenation(first: list[list[list[int]]], second: list[list[list[int]]]) -> None:
    rows = [[trie_of(*ids) for ids in row] for row in (first, second) if row]
    batch = collate(rows)
    length = batch.input_ids.shape[1]
    for r, row in enumerate(rows):
        begin = 0
        for trie in row:
            part = slice(begin, begin + len(trie))
            assert batch.input_ids[r, part].tolist() == trie.tokens.tolist()
            assert batch.position_ids[r, part].tolist() == trie.depths.tolist()
            alone = collate([[trie]]).mask[0, 0]
            assert torch.equal(batch.mask[r, 0, part, part], alone)
            assert batch.mask[r, 0, part].sum() == alone.sum()  # and nothing outside
            begin += len(trie)
        assert torch.equal(batch.mask[r, 0, begin:], torch.eye(length, dtype=torch.bool)[begin:])


def test_what_several_targets_ask_for_is_computed_once() -> None:
    trie = TrieBuilder()
    last = trie.add([2, 3])[-1]
    for _ in range(3):
        trie.ask_whole(Events([last, last], [1, 2], [Support.ANY] * 2), "t")
    batch = collate([[trie.build()]])
    assert (len(batch.tokens), len(batch.uses), len(batch.labels)) == (2, 6, 3)
    assert logprobs(toy_policy(seed=1), batch).unique().numel() == 1


def test_a_target_keeps_what_it_was_given_in_the_order_it_was_asked() -> None:
    trie = TrieBuilder()
    last = trie.add([2, 3])[-1]
    assert trie.ask(Events([last, last], [1, 2], [Support.ANY] * 2), "a", [0.5, -0.5], [-1.0, -2.0]) == slice(0, 2)
    assert trie.ask_whole(event(last, 0), "b", 3.0, complement=True) == 2
    assert trie.ask(Events(), "c") == slice(3, 3)
    batch = collate([[trie_of(SEQUENCES[2])], [trie.build()]])
    assert batch.label_counts == {"t": 2, "a": 2, "b": 1}
    assert batch.labels.tolist() == [0, 0, 1, 1, 2]
    assert batch.coefficients.tolist() == [1, 1, 0.5, -0.5, 3]
    assert batch.old.nan_to_num(9.0).tolist() == [9, 9, -1, -2, 9]
    assert batch.complement.tolist() == [False] * 4 + [True]


def test_a_token_is_held_in_under_sixty_bytes_with_its_target() -> None:
    trie = trie_of(list(range(1000)))
    arrays = [getattr(part, name) for part in (trie, trie.targets) for name in part.__slots__]
    assert sum(array.nbytes for array in arrays if hasattr(array, "nbytes")) / len(trie) < 60


def test_padding_changes_nothing() -> None:
    policy = toy_policy(seed=0)
    both = logprobs(policy, collate([[trie_of(SEQUENCES[2])], [trie_of(SEQUENCES[3])]])).tolist()
    assert both == pytest.approx([*alone(policy, SEQUENCES[2]), *alone(policy, SEQUENCES[3])], abs=1e-5)


def test_a_support_renormalises_over_its_tokens() -> None:
    policy = toy_policy(seed=1)
    policy.supports[Support.COMMENT] = torch.tensor([False, True, True, False])
    trie = TrieBuilder()
    last = trie.add([2, 3])[-1]
    for token in (1, 2):
        trie.ask(event(last, token, Support.COMMENT), "t")
    assert logprobs(policy, collate([[trie.build()]])).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_events_of_different_supports_are_told_apart() -> None:
    policy = toy_policy(seed=1)
    policy.supports[Support.NEWLINE] = torch.tensor([True, False, True, False])
    policy.supports[Support.COMMENT] = torch.tensor([True, True, False, False])
    trie = TrieBuilder()
    last = trie.add([2, 3])[-1]
    for support in (Support.COMMENT, Support.ANY, Support.NEWLINE):
        trie.ask(event(last, 0, support), "t")
    with torch.no_grad():
        likely = policy.model(torch.tensor([[2, 3]])).logits[0, -1].softmax(-1)
    comment, plain, newline = logprobs(policy, collate([[trie.build()]])).exp().tolist()
    assert plain == pytest.approx(float(likely[0]), abs=1e-6)
    assert comment == pytest.approx(float(likely[0] / likely[:2].sum()), abs=1e-6)
    assert newline == pytest.approx(float(likely[0] / likely[[0, 2]].sum()), abs=1e-6)


def test_a_new_line_is_the_mass_of_all_tokens_that_begin_one() -> None:
    policy = toy_policy(seed=1)
    policy.__dict__["token_texts"] = ["\n", "#", "\n ", "b"]
    trie = TrieBuilder()
    last = trie.add([2, 3])[-1]
    for token in (NEW_LINE, 0, 2):
        trie.ask(event(last, token), "t")
    whole, *parts = logprobs(policy, collate([[trie.build()]])).exp().tolist()
    assert whole == pytest.approx(sum(parts), abs=1e-6)


def test_gradients_flow_through_shared_nodes_as_through_separate_rows() -> None:
    shared, apart = toy_policy(seed=2), toy_policy(seed=2)
    logprobs(shared, collate([[trie_of(*SEQUENCES[:3])]])).sum().backward()
    logprobs(apart, collate([[trie_of(ids)] for ids in SEQUENCES[:3]])).sum().backward()
    for a, b in zip(shared.model.parameters(), apart.model.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 40))
@settings(deadline=None)
def test_packing_keeps_every_trie_once_and_no_row_too_full(sizes: list[int], row_tokens: int) -> None:
    rows = pack(sizes, row_tokens)
    assert sorted(index for row in rows for index in row) == list(range(len(sizes)))
    assert all(sum(sizes[i] for i in row) <= row_tokens or len(row) == 1 for row in rows)


@given(st.floats(-60, -1e-4))
def test_log1mexp_agrees_with_high_precision(x: float) -> None:
    with mpmath.workdps(40):
        expected = float(mpmath.log(1 - mpmath.exp(mpmath.mpf(x))))
    assert float(log1mexp(torch.tensor(x, dtype=torch.float64))) == pytest.approx(expected, rel=1e-9, abs=1e-30)


def test_log1mexp_has_a_finite_gradient_everywhere() -> None:
    x = torch.tensor([0.0, -1e-12, -1e-3, -0.6931472, -5.0, -200.0], requires_grad=True)
    values = log1mexp(x)
    assert float(values[0].detach()) == pytest.approx(math.log(1e-6), abs=1e-3)  # a gate that is sure of itself
    values.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
