"""A random tiny Llama and a tokenizer trained on the spot: the model of the smoke recipe and of the tests."""

import calendar
import heapq
import shutil
import statistics
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEPARATOR = "<|endoftext|>"
SOURCES = (calendar, heapq, shutil, statistics, textwrap)


def random_tiny(seed: int = 0, *, vocab_size: int = 1024) -> tuple[Any, Any]:
    """A Llama of 2 layers and width 64 with random weights drawn from `seed`, and its byte-level BPE tokenizer."""
    tokenizer = _tokenizer(vocab_size)
    end = tokenizer.convert_tokens_to_ids(SEPARATOR)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config), tokenizer


def _tokenizer(vocab_size: int) -> Any:
    backend = Tokenizer.from_str(_trained(vocab_size))
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=SEPARATOR, eos_token=SEPARATOR)


@cache
def _trained(vocab_size: int) -> str:
    """Digits apart and GPT-2's pattern, as SmolLM2 and StarCoder: newlines merge with the indentation after them."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[SEPARATOR], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(_standard_library(), trainer)
    return str(backend.to_str())


def _standard_library() -> Iterator[str]:
    for module in SOURCES:
        if module.__file__ is not None:
            yield Path(module.__file__).read_text(encoding="utf-8")
