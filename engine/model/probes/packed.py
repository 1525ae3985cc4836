"""Do a model's packed tries have the hidden states, and the gradients, of its own forward pass?"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import UsageFault
from engine.model.passes import training
from engine.model.policy import Policy
from engine.model.probes.plain import attempted, check_same, noted, plain_hidden, probe_sequences
from engine.model.recomputing import enable_recomputing
from engine.model.tries import Batch, Trie, TrieBuilder, collate

BEHIND, ALONE = 4, 3
"""Tokens of the sequence behind the branches, and of the one in a row of its own."""
READS = "cannot be given several sequences in one row"
READS_OTHERWISE = "reads several sequences in one row otherwise than each by itself"
DIFFERS = "has another gradient when several sequences stand in one row"
RECOMPUTES = "has another gradient when its layers are recomputed"


def check_packed(policy: Policy) -> None:
    """Compare a trie of two branches, one behind it, and one in a padded row with the two sequences by themselves.

    Raises:
        ModelError: a hidden state or a gradient differs; the message says which.
    """
    first, branch = probe_sequences(policy)
    theirs, their_gradient = attempted(policy, "cannot be passed tokens alone", lambda: _plain(policy, first, branch))
    batch, places = _batch([[[first, branch], [branch[:BEHIND]]], [[first[:ALONE]]]])
    batch, places = batch.to(policy.device), places.to(policy.device)
    ours, gradient = attempted(policy, READS, lambda: _packed(policy, batch, places))
    own = len(first)
    check_same(policy, READS_OTHERWISE, ours, torch.cat([theirs, theirs[own : own + BEHIND], theirs[:ALONE]]))
    summed = torch.zeros_like(gradient).index_add(0, places[: len(theirs)], their_gradient)
    check_same(policy, DIFFERS, gradient, summed)
    if _recomputes(policy):
        _, again = attempted(policy, RECOMPUTES, lambda: _packed(policy, batch, places, recompute=True))
        check_same(policy, RECOMPUTES, again, gradient)


def _recomputes(policy: Policy) -> bool:
    """Can its layers be recomputed? Where not, a recipe that asks for it is refused by `enable_recomputing`."""
    try:
        enable_recomputing(policy.model)
    except UsageFault:
        return False
    return True


def _plain(policy: Policy, *sequences: list[int]) -> tuple[Tensor, Tensor]:
    """Hidden states [n, D] of all tokens of the sequences, and [n, D] gradient of a weighted sum of them."""
    with training(policy.model), torch.enable_grad(), noted(policy) as leaves:
        hidden = torch.cat([plain_hidden(policy, ids)[0] for ids in sequences])
        gradients = torch.autograd.grad(_weighted_sum(hidden), leaves)
    return hidden.detach(), torch.cat([gradient.flatten(0, -2) for gradient in gradients])


def _packed(policy: Policy, batch: Batch, places: Tensor, *, recompute: bool = False) -> tuple[Tensor, Tensor]:
    """Hidden states [n, D] at ``places`` of the rows; [L, D] gradient of a weighted sum of those of the branches."""
    with training(policy.model, recompute=recompute), torch.enable_grad(), noted(policy) as leaves:
        hidden = policy.hidden(batch.input_ids, batch.position_ids, batch.mask).flatten(0, 1)[places]
        (gradient,) = torch.autograd.grad(_weighted_sum(hidden[: -BEHIND - ALONE]), leaves)
    return hidden.detach(), gradient.flatten(0, -2)


def _weighted_sum(hidden: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, hidden.shape[-1], device=hidden.device)
    return (hidden.float() @ weights).sum()


def _batch(rows: list[list[list[list[int]]]]) -> tuple[Batch, Tensor]:
    """A trie for each group of sequences in each row; and [n] the place of each of their tokens in the rows."""
    tries = [[_trie(sequences) for sequences in row] for row in rows]
    batch = collate([[trie for trie, _ in row] for row in tries])
    places = []
    for r, row in enumerate(tries):
        begin = r * batch.input_ids.shape[1]
        for trie, nodes in row:
            places += [begin + node for node in nodes]
            begin += len(trie)
    return batch, torch.tensor(places)


def _trie(sequences: list[list[int]]) -> tuple[Trie, list[int]]:
    """A trie of ``sequences``, and the place of each of their tokens."""
    trie = TrieBuilder()
    nodes = [node for ids in sequences for node in trie.add(ids)]
    places = trie.places()
    return trie.build(), [int(places[node]) for node in nodes]
