"""A policy over four words, small enough that everything it can say can be enumerated."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.model.boundary import LEADING, Boundary, classes_of
from engine.model.policy import Policy, Support
from tests.engine.devices import DEVICE

NEWLINE, HASH = 0, 1
WORDS = ("\n", "#", "a", "b")


def toy_policy(seed: int, layers: int = 1, words: tuple[str, ...] = WORDS, *, trailing: bool = False) -> Policy:
    """A random Llama over ``words``, which may stand in a comment where they do not end a line."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        initializer_range=0.5,
    )
    policy = Policy(LlamaForCausalLM(config).to(DEVICE).eval(), None, "toy")
    supports = torch.ones(3, len(words), dtype=torch.bool, device=DEVICE)
    supports[Support.NEWLINE] = torch.tensor([word.startswith("\n") for word in words], device=DEVICE)
    classes = {token: k for k, row in enumerate(classes_of(words, trailing=True)) for token in row}
    policy.__dict__["supports"] = supports
    policy.__dict__["boundary"] = Boundary(True, classes, [NEWLINE]) if trailing else LEADING
    policy.__dict__["token_texts"] = list(words)
    policy.__dict__["decode"] = lambda ids: "".join(words[token] for token in ids)
    return policy


def speaking_policy(seed: int) -> Policy:
    """One that completes texts: a word a character, no document separator, a newline ends a completion."""
    policy = toy_policy(seed)
    policy.__dict__["bos"] = ()
    policy.__dict__["eos"] = frozenset({NEWLINE})
    policy.__dict__["encode"] = lambda text: [WORDS.index(word) for word in text]
    return policy
