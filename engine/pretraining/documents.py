"""What ra3-tiny is pre-trained on: katas, bare or commented, and before them lists told twice and chains of sums.

To copy and to add are what a kata's comment takes, and what katas alone teach late, or, with some seeds, never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engine.katas.programs import Kata
from engine.katas.splits import draw_katas

SEPARATOR = "<|endoftext|>"
VOCABULARY = 480
_TOKENIZER_KATAS = 2000
_MERGED = 257
"""Tokens before this one are the separator and single bytes."""
_SORTED_TOGETHER = 512
_COPIED = range(8, 30)
_SUMS = range(8, 25)
_DIGITS = range(10)
_SMALL = (8, 8, 4, 2, 1, 1, 1, 1, 1, 1)
"""How often each digit is added, in half of the sums: where it is 0 or 1, what comes out is what was there before, or
next to it. That is soon learnt and shows where to look; of digits that are all as frequent nothing but the whole sum
tells anything of what comes out, and 200 updates on nothing else teach nothing."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in tokens: what is given, behind the separator, and what is to be learnt, the separator at its end."""

    given: list[int]
    learnt: list[int]

    def __len__(self) -> int:
        return len(self.given) + len(self.learnt)


def train_tokenizer() -> Any:
    """Byte-level BPE in which each digit, with the blank before it, is a token; newlines merge with what follows."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    katas = [kata for split in ("pretrain", "midtrain") for kata in islice(draw_katas(split, 1), _TOKENIZER_KATAS)]
    backend.train_from_iterator((kata.prompt + kata.commented for kata in katas), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=SEPARATOR, eos_token=SEPARATOR)


def encode(tokenizer: Any, kata: Kata, *, commented: bool) -> Document:
    """A kata as the engine has it: the prompt and the body each in tokens of their own."""
    given, learnt = kata.prompt, kata.commented if commented else kata.code
    end = tokenizer.eos_token_id
    return Document([end, *encode_text(tokenizer, given)], [*encode_text(tokenizer, learnt), end])


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text by itself."""
    return list(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of what documents are drawn."""

    commented: float
    """Of katas, those with comments."""
    basics: float
    """Of all documents, those that are no katas: lists told twice and chains of sums, one as often as the other."""


def draw_list(tokenizer: Any, random: Random) -> Document:
    """Words, and the same again."""
    told = random.choices(range(_MERGED, len(tokenizer)), k=random.choice(_COPIED))
    return Document([tokenizer.eos_token_id, *told], [*told, tokenizer.eos_token_id])


def draw_sums(tokenizer: Any, random: Random) -> Document:
    """A digit, and what comes of it step by step, modulo 10: `` 3 + 1 4 - 6 8``."""
    total = random.choice(_DIGITS)
    text = f" {total}"
    for _ in range(random.choice(_SUMS)):
        sign = random.choice((1, -1))
        digit = random.choices(_DIGITS, _SMALL if random.random() < 0.5 else None)[0]
        total = (total + sign * digit) % 10
        text += f" {'+' if sign > 0 else '-'} {digit} {total}"
    return Document([tokenizer.eos_token_id], [*encode_text(tokenizer, text), tokenizer.eos_token_id])


def draw_batches(tokenizer: Any, mixture: Mixture, tokens: int, seed: str) -> Iterator[list[Document]]:
    """Batches of documents of like length, of about so many tokens each, without end."""
    random, katas = Random(seed), draw_katas("pretrain", seed)

    def draw() -> Document:
        if random.random() < mixture.basics:
            return draw_list(tokenizer, random) if random.random() < 0.5 else draw_sums(tokenizer, random)
        return encode(tokenizer, next(katas), commented=random.random() < mixture.commented)

    while True:
        documents = sorted((draw() for _ in range(_SORTED_TOGETHER)), key=len)
        batches: list[list[Document]] = [[]]
        for document in documents:
            if batches[-1] and len(document) * (len(batches[-1]) + 1) > tokens:
                batches.append([])
            batches[-1].append(document)
        random.shuffle(batches)
        yield from batches
