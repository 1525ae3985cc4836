"""Packed trees give each sequence the log-probabilities it has alone."""

from __future__ import annotations

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.packing import NEW_LINE, Piece, Target, Tree, collate, log1mexp, logprobs, pack
from engine.model.policy import Policy, Support
from tests.engine.toy import toy_policy

SEQUENCES = [[2, 3, 0, 2], [2, 3, 0, 3, 1, 2], [2, 3, 1], [3, 0, 0, 1, 2]]


def alone(policy: Policy, ids: list[int]) -> list[float]:
    """Log-probability of each token after the first, by the model itself, uncached and unpacked."""
    with torch.no_grad():
        table = policy.model(torch.tensor([ids])).logits.log_softmax(-1)[0]
    return [float(table[i, token]) for i, token in enumerate(ids[1:])]


def plain(tree: Tree, ids: list[int]) -> None:
    nodes = tree.extend(ids)
    tree.targets += [Target((Piece(a, token),), "t") for a, token in zip(nodes, ids[1:], strict=False)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_branches_and_packed_neighbours_do_not_see_each_other(attention: str) -> None:
    policy = toy_policy(seed=0, layers=2)
    policy.model.set_attn_implementation(attention)
    trees = [Tree(), Tree()]
    for i, ids in enumerate(SEQUENCES):
        plain(trees[i // 3], ids)  # the first three share a beginning, so they make branches of one tree
    found = logprobs(policy, collate([trees])).tolist()
    expected = [value for ids in SEQUENCES for value in alone(policy, ids)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_common_beginning_is_held_once() -> None:
    tree = Tree()
    for ids in SEQUENCES[:3]:
        tree.extend(ids)
    assert len(tree.ids) == 8  # 2 3, then 0 with 2 | 3 1 2, then 1


def test_padding_changes_nothing() -> None:
    policy = toy_policy(seed=0)
    short, long = Tree(), Tree()
    plain(short, SEQUENCES[2])
    plain(long, SEQUENCES[3])
    both = logprobs(policy, collate([[short], [long]])).tolist()
    assert both == pytest.approx([*alone(policy, SEQUENCES[2]), *alone(policy, SEQUENCES[3])], abs=1e-5)


def test_a_support_renormalises_over_its_tokens() -> None:
    policy = toy_policy(seed=1)
    policy.supports[Support.COMMENT] = torch.tensor([False, True, True, False])
    tree = Tree()
    last = tree.extend([2, 3])[-1]
    tree.targets = [Target((Piece(last, token, Support.COMMENT),), "t") for token in (1, 2)]
    assert logprobs(policy, collate([[tree]])).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_a_new_line_is_the_mass_of_all_tokens_that_begin_one() -> None:
    policy = toy_policy(seed=1)
    policy.supports[Support.NEWLINE] = torch.tensor([True, False, True, False])
    tree = Tree()
    last = tree.extend([2, 3])[-1]
    tree.targets = [Target((Piece(last, NEW_LINE),), "t"), *[Target((Piece(last, w),), "t") for w in (0, 2)]]
    whole, *parts = logprobs(policy, collate([[tree]])).exp().tolist()
    assert whole == pytest.approx(sum(parts), abs=1e-6)


def test_gradients_flow_through_shared_nodes_as_through_separate_rows() -> None:
    shared, apart = toy_policy(seed=2), toy_policy(seed=2)
    tree = Tree()
    rows = []
    for ids in SEQUENCES[:3]:
        plain(tree, ids)
        rows.append([Tree()])
        plain(rows[-1][0], ids)
    logprobs(shared, collate([[tree]])).sum().backward()
    logprobs(apart, collate(rows)).sum().backward()
    for a, b in zip(shared.model.parameters(), apart.model.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 40))
@settings(deadline=None)
def test_packing_keeps_every_tree_once_and_no_row_too_full(sizes: list[int], row_tokens: int) -> None:
    rows = pack(sizes, row_tokens)
    assert sorted(index for row in rows for index in row) == list(range(len(sizes)))
    assert all(sum(sizes[i] for i in row) <= row_tokens or len(row) == 1 for row in rows)


@given(st.floats(-60, -1e-4))
def test_log1mexp_agrees_with_high_precision(x: float) -> None:
    with mpmath.workdps(40):
        expected = float(mpmath.log(1 - mpmath.exp(mpmath.mpf(x))))
    assert float(log1mexp(torch.tensor(x, dtype=torch.float64))) == pytest.approx(expected, rel=1e-9, abs=1e-30)


def test_log1mexp_has_a_finite_gradient_everywhere() -> None:
    x = torch.tensor([-1e-12, -1e-3, -0.6931472, -5.0, -200.0], requires_grad=True)
    log1mexp(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
