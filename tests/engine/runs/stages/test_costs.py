"""Operations by hand, and against torch's own count of a model's matrix products; memory that is held and let go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder, collate
from engine.runs.stages.costs import Meter, flops, forget_peak, peak_mb
from tests.engine.tiny import tiny_policy


def test_operations_are_two_a_weight_and_token_and_four_a_pair_and_width() -> None:
    assert flops(weights=100, layers=2, width=8, tokens=10, attended=55) == 2 * 100 * 10 + 4 * 2 * 8 * 55


def trie_of(policy: Policy) -> Trie:
    trie = TrieBuilder()
    before = trie.add(policy.encode("def f(x):"))[-1]
    for text in ("\n    return x", "\n    pass"):
        trie.ask_whole(trie.follow(policy.encode(text), before), "x")
    return trie.build()


def test_a_meter_counts_each_token_with_those_it_sees_and_training_three_times() -> None:
    policy = tiny_policy().clone()
    meter, trie = Meter(policy), trie_of(policy)
    batch = collate([[trie]])
    config = policy.model.config
    width = config.num_attention_heads * config.head_dim
    attended = int(batch.mask.sum())  # no padding: exactly the pairs
    once = flops(policy.n_parameters, config.num_hidden_layers, width, len(trie), attended)
    with torch.no_grad():
        logprobs(policy, batch)
    assert meter.take() == once
    logprobs(policy.clone(), batch)
    assert meter.take() == 3 * once
    assert meter.take() == 0


def test_the_estimate_is_that_of_the_products_but_for_the_table_of_embeddings() -> None:
    policy = tiny_policy().clone()
    meter, batch = Meter(policy), collate([[trie_of(policy)]])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        policy.logits(policy.hidden(batch.input_ids, batch.position_ids, batch.mask))
    length = batch.input_ids.shape[1]
    config = policy.model.config
    width = config.num_attention_heads * config.head_dim
    masked = 4 * config.num_hidden_layers * width * (length * length - int(batch.mask.sum()))
    assert counter.get_total_flops() == pytest.approx(meter.take() + masked, rel=0.03)  # norms are weights too


def test_memory_that_was_let_go_is_forgotten() -> None:
    cpu = torch.device("cpu")
    forget_peak(cpu)
    before = peak_mb(cpu)
    held = np.ones(20_000_000)
    assert peak_mb(cpu) > before + 0.9 * held.nbytes / 1e6
    size = held.nbytes / 1e6
    del held
    forget_peak(cpu)
    assert peak_mb(cpu) < before + 0.5 * size
