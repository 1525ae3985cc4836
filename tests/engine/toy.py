"""A policy over four words, small enough that everything it can say can be enumerated."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.model.policy import Policy, Support
from tests.engine.devices import DEVICE

NEWLINE, HASH = 0, 1
WORDS = ("\n", "#", "a", "b")


def toy_policy(seed: int, layers: int = 1) -> Policy:
    """A random Llama over `WORDS`; word 0 begins a line, the others may stand in a comment."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        initializer_range=0.5,
    )
    policy = Policy(LlamaForCausalLM(config).to(DEVICE).eval(), None, "toy")
    supports = torch.ones(3, len(WORDS), dtype=torch.bool, device=DEVICE)
    supports[Support.NEWLINE] = torch.tensor([word.startswith("\n") for word in WORDS], device=DEVICE)
    policy.__dict__["supports"] = supports
    return policy
