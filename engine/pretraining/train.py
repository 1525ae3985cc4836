"""The loop of ra3-tiny's pre-training."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from statistics import mean
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from engine.pretraining.documents import Document, Mixture, draw_batches, train_tokenizer
from engine.pretraining.measuring import measure
from engine.pretraining.muon import Muon

IGNORED = -100
_RECENT = 25
"""Updates."""
_LOOK_EVERY = 50
"""Updates between looks whether comments are learnt."""
_KATAS_AT_A_LOOK = 200
_APART = 1_000_003
"""Between the seeds of one pre-training's attempts."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A pre-training: everything its weights follow from, beside the code."""

    seed: int = 0
    tokens: int = 9_000_000
    batch_tokens: int = 4096
    layers: int = 4
    width: int = 96
    heads: int = 4
    hidden: int = 256
    rope_theta: float = 500.0
    muon: float = 0.015
    """Learning rate of the matrices."""
    adamw: float = 3e-3
    """That of embeddings and gains."""
    warmup: int = 50
    """Updates over which both rise; they fall over the last ``fall`` of the budget."""
    fall: float = 0.4
    basics_until: float = 0.15
    """Share of the budget, at its beginning, that goes into lists told twice and chains of sums."""
    basics_loss: float = 1.8
    """Of the last updates on them, at most. Above it, it begins anew: who had not learnt them by then did not later."""
    attempts: int = 4
    """Random weights to begin with, at most; what the last has learnt by then is enough."""
    comments: float = 0.8
    """Share of each token of a comment that must be right before the rates fall: till then the budget stands still."""
    patience: float = 0.15
    """Share of the budget for which it does at most, so that more tokens are seen than it has."""
    gate: float = 0.05
    """Share of commented katas in the last ``gate_from`` of the budget; before, all are commented."""
    gate_from: float = 0.2


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A model, and how it came about."""

    model: Any
    tokenizer: Any
    curve: list[tuple[int, float]]
    """Tokens seen, and the mean loss since the point before, in nats a learnt token."""
    attempt: int
    """Which random weights it began with, from 0."""
    held: int
    """Tokens seen while the budget stood still."""
    digest: str
    """SHA-256 of all tokens it was trained on, in order."""


class _NotLearnt(Exception):
    """Lists and sums are to be left, and are not learnt."""


def pretrain(settings: Settings, tell: Callable[[str], None], points: int = 100) -> Pretrained:
    """Train a model from random weights. ``tell`` gets a line at each of the curve's ``points``."""
    for attempt in range(settings.attempts - 1):
        try:
            return _train(settings, attempt, tell, points)
        except _NotLearnt:
            tell("lists and sums are not learnt: it begins anew, with other random weights")
    return _train(replace(settings, basics_loss=inf), settings.attempts - 1, tell, points)


def _train(settings: Settings, attempt: int, tell: Callable[[str], None], points: int) -> Pretrained:
    torch.manual_seed(settings.seed + attempt * _APART)
    tokenizer = train_tokenizer()
    model = LlamaForCausalLM(_config(settings, tokenizer))
    matrices = {name for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name}
    muon = Muon(weight for name, weight in model.named_parameters() if name in matrices)
    others = [weight for name, weight in model.named_parameters() if name not in matrices]
    adamw = torch.optim.AdamW(others, lr=settings.adamw, betas=(0.9, 0.95), weight_decay=0.0)
    digest = hashlib.sha256()
    curve: list[tuple[int, float]] = []
    losses: list[float] = []
    recent: deque[float] = deque(maxlen=_RECENT)
    updates = 0
    budget = _Budget(settings, lambda: _least_of_comments(model, tokenizer) >= settings.comments)
    phases = _phases(settings)
    batches = draw_batches(tokenizer, *next(phases))
    bounds = [settings.basics_until, 1 - settings.gate_from]
    while budget.spent < 1:
        if bounds and budget.spent >= bounds[0]:
            if bounds.pop(0) == settings.basics_until and mean(recent) > settings.basics_loss:
                raise _NotLearnt
            batches = draw_batches(tokenizer, *next(phases))
        documents = next(batches)
        loss = _loss(model, documents, tokenizer.eos_token_id)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        factor = min(1.0, (updates + 1) / settings.warmup) * min(1.0, (1 - budget.spent) / settings.fall + 0.02)
        adamw.param_groups[0]["lr"] = settings.adamw * factor
        adamw.step()
        muon.step(settings.muon * factor)
        model.zero_grad(set_to_none=True)
        for document in documents:
            digest.update(repr((document.given, document.learnt)).encode())
        updates += 1
        losses.append(loss.item())
        recent.append(losses[-1])
        budget.spend(sum(map(len, documents)))
        if budget.seen >= settings.tokens * (len(curve) + 1) / points:
            curve.append((budget.seen, round(mean(losses), 4)))
            losses = []
            share = f"{min(budget.spent, 1):.0%} of the budget"
            tell(f"{budget.seen:,} tokens, {share}, {updates} updates, loss {curve[-1][1]:.4f}")
    return Pretrained(model.eval(), tokenizer, curve, attempt, budget.held, digest.hexdigest())


class _Budget:
    """The tokens to be trained on; it stands still before the rates fall, until ``learnt`` or for want of patience."""

    def __init__(self, settings: Settings, learnt: Callable[[], bool]) -> None:
        self._settings, self._learnt = settings, learnt
        self.seen = self.held = 0
        """Tokens, in all and while it stood still."""
        self._falling = False
        self._waited = 0
        """Updates for which it stood still."""

    @property
    def spent(self) -> float:
        """The share that is."""
        return (self.seen - self.held) / self._settings.tokens

    def spend(self, tokens: int) -> None:
        """An update of so many."""
        self.seen += tokens
        if self._falling or self.spent < 1 - self._settings.fall:
            return
        out_of_patience = self.held >= self._settings.patience * self._settings.tokens
        self._falling = out_of_patience or (self._waited % _LOOK_EVERY == 0 and self._learnt())
        if not self._falling:
            self.held += tokens
            self._waited += 1


def _least_of_comments(model: Any, tokenizer: Any) -> float:
    """How often that token of a comment is right which is so least."""
    measures = measure(model, tokenizer, _KATAS_AT_A_LOOK)
    return min(value for name, value in measures.items() if name.startswith("comment/"))


def _config(settings: Settings, tokenizer: Any) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _phases(settings: Settings) -> Iterator[tuple[Mixture, int, str]]:
    """What is drawn in each phase: lists and sums; commented katas; katas few of which are commented."""
    mixtures = (Mixture(1.0, 1.0), Mixture(1.0, 0.0), Mixture(settings.gate, 0.0))
    for number, mixture in enumerate(mixtures):
        yield mixture, settings.batch_tokens, f"{settings.seed} {number}"


def _loss(model: Any, documents: list[Document], padding: int) -> Tensor:
    """Mean nats of what is to be learnt."""
    length = max(map(len, documents))
    ids = torch.full((len(documents), length), padding)
    labels = torch.full((len(documents), length), IGNORED)
    for row, document in enumerate(documents):
        given, end = len(document.given), len(document)
        ids[row, :end] = torch.tensor(document.given + document.learnt)
        labels[row, given:end] = ids[row, given:end]
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != IGNORED
    return cross_entropy(model.lm_head(hidden[wanted]), labels[:, 1:][wanted])
