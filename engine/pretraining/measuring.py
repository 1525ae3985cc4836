"""What ra3-tiny must be able to do, and must not: measured on katas of the development split."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from statistics import mean
from typing import Any

import torch

from engine.katas.programs import Kata
from engine.katas.splits import draw_katas
from engine.pretraining.documents import encode, encode_text

_KATAS = 600
_BATCH = 100


@torch.no_grad()
def measure(model: Any, tokenizer: Any, count: int = _KATAS) -> dict[str, float]:
    """Shares of so many katas without novel operations, by what is asked of the model.

    ``comment/N``: the N-th token of a comment, behind its ``#``, is the likeliest. ``key/N``: the digit of a key of N
    terms is, without a comment. ``key/commented``: with one. ``code``: all other tokens of a line are. ``gate``: the
    mean probability of a comment before a line that a comment would help.
    """
    katas = list(islice((kata for kata in draw_katas("dev", 1) if not kata.novel), count))
    hits: defaultdict[str, list[float]] = defaultdict(list)
    for begin in range(0, count, _BATCH):
        for commented in (True, False):
            _measure(model, tokenizer, katas[begin : begin + _BATCH], commented, hits)
    return {name: round(float(mean(values)), 4) for name, values in sorted(hits.items())}


def _measure(
    model: Any, tokenizer: Any, katas: list[Kata], commented: bool, hits: defaultdict[str, list[float]]
) -> None:
    documents = [encode(tokenizer, kata, commented=commented) for kata in katas]
    ids = torch.full((len(documents), max(map(len, documents))), tokenizer.eos_token_id)
    for row, document in zip(ids, documents, strict=True):
        row[: len(document)] = torch.tensor(document.given + document.learnt)
    logprobs = model(input_ids=ids).logits.log_softmax(-1)
    likeliest = logprobs.argmax(-1)
    opening = encode_text(tokenizer, "\n    #")
    for row, (kata, document) in enumerate(zip(katas, documents, strict=True)):
        at = len(document.given)
        for name, tokens in _pieces(kata, tokenizer, commented):
            right = (likeliest[row, at - 1 : at + len(tokens) - 1] == torch.tensor(tokens)).tolist()
            if name == "comment":
                for place, hit in enumerate(right[len(opening) :], start=1):
                    hits[f"comment/{place}"].append(hit)
            elif name.startswith("key"):
                hits[name].append(right[-1])
                if not commented and name != "key/1":
                    gate = logprobs[row, at - 1, opening[0]] + logprobs[row, at, opening[1]]
                    hits["gate"].append(float(gate.exp()))
            elif not commented:
                hits["code"] += right
            at += len(tokens)


def _pieces(kata: Kata, tokenizer: Any, commented: bool) -> list[tuple[str, list[int]]]:
    """The chunks of a kata's body, each with what is measured on it."""
    pieces = []
    keys = iter([step.key for step in kata.steps if step.key])
    for line in kata.lines:
        shown = commented and line.comment is not None
        if shown:
            pieces.append(("comment", encode_text(tokenizer, f"\n    #{line.comment}")))
        name = f"key/{len(next(keys).terms)}" if line.is_key else "code"
        pieces.append(("key/commented" if shown else name, encode_text(tokenizer, f"\n    {line.code}")))
    return pieces
