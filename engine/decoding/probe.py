"""Do a model's decoded rows and branches have the hidden states of its own forward pass?"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DynamicCache

from engine.decoding.branch_cache import BranchCache, forward_branches
from engine.decoding.kvcache import RaggedCache, Span, forward
from engine.model.passes import predicting
from engine.model.policy import Policy
from engine.model.probes.plain import SHARED, attempted, check_same, plain_hidden, probe_sequences
from engine.model.tries import TrieBuilder, collate

RAGGED = "has other predictions when rows of different lengths are decoded together"
BRANCHES = "has other predictions when branches are decoded from one common beginning"


@torch.inference_mode()
def check_decoding(policy: Policy) -> None:
    """Feed two rows a few tokens at a time, and two branches a token each, and compare with the whole sequences.

    Raises:
        ModelError: a hidden state differs; the message says where.
    """
    first, branch = probe_sequences(policy)
    with predicting(policy):
        theirs = [plain_hidden(policy, ids)[0] for ids in (first, branch)]
        ragged = attempted(policy, RAGGED, lambda: _ragged(policy, first, branch))
        branches = attempted(policy, BRANCHES, lambda: _branches(policy, first, branch))
    check_same(policy, RAGGED, ragged, torch.cat(theirs))
    check_same(policy, BRANCHES, branches, torch.cat([hidden[SHARED : SHARED + 2] for hidden in theirs]))


def _ragged(policy: Policy, *rows: list[int]) -> Tensor:
    """Hidden states [n, D] of two rows' tokens, row after row, fed in steps of different lengths."""
    cache = RaggedCache(len(rows))
    fed = [0] * len(rows)
    states: list[list[Tensor]] = [[] for _ in rows]
    for counts in ((len(rows[0]) - 1, 2), (1, len(rows[1]) - 2)):
        spans, ids = list[Span](), list[int]()
        for row, count in enumerate(counts):
            spans.append(Span(row, len(ids), len(ids) + count, fed[row]))
            ids += rows[row][fed[row] : fed[row] + count]
            fed[row] += count
        hidden = forward(policy, cache, spans, ids)
        for span in spans:
            states[span.row].append(hidden[span.begin : span.stop])
    return torch.cat([state for row in states for state in row])


def _branches(policy: Policy, *rows: list[int]) -> Tensor:
    """Hidden states [4, D] of the two tokens with which each of two sequences goes on behind their beginning."""
    trie = TrieBuilder()
    stem = trie.add(rows[0][:SHARED])[-1]
    batch = collate([[trie.build()]]).to(policy.device)
    shared = DynamicCache()
    policy.hidden(batch.input_ids, batch.position_ids, batch.mask, shared)
    visible = batch.mask[0, 0][[stem, stem]]
    cache = BranchCache(shared, visible, torch.tensor([SHARED, SHARED], device=policy.device))
    states = [forward_branches(policy, cache, [ids[SHARED + step] for ids in rows]) for step in range(2)]
    return torch.stack(states, dim=1).flatten(0, 1)
