"""The pre-training of ra3-tiny: the same bits from the same seed, and an optimiser that goes downhill."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from random import Random

import pytest
import torch

from engine.katas.splits import draw_katas
from engine.pretraining.documents import Mixture, draw_batches, draw_sums, encode, train_tokenizer
from engine.pretraining.measuring import measure
from engine.pretraining.muon import Muon, orthogonal
from engine.pretraining.train import Settings, _Budget, _phases, pretrain

SHORT = replace(Settings(), tokens=6000, width=32, hidden=64, layers=1, basics_loss=100.0, comments=0.0)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer()


def test_one_seed_gives_one_model_and_another_seed_another():
    first, again, other = (pretrain(replace(SHORT, seed=seed), lambda _: None) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    weights, same, different = (result.model.state_dict() for result in (first, again, other))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not torch.equal(weights["model.norm.weight"], different["model.norm.weight"])


WAITING = replace(SHORT, tokens=30_000, batch_tokens=1000)


@pytest.mark.parametrize(("comments", "waits"), [(0.0, False), (1.1, True)])
def test_the_budget_waits_for_comments_until_its_patience_is_over(comments, waits):
    trained = pretrain(replace(WAITING, comments=comments), lambda _: None, points=30)
    patience = WAITING.patience * WAITING.tokens
    assert waits * patience <= trained.held <= waits * (patience + WAITING.batch_tokens)
    seen, _ = trained.curve[-1]
    assert WAITING.tokens <= seen - trained.held < WAITING.tokens + WAITING.batch_tokens


def test_the_budget_stands_still_before_the_rates_fall_until_a_look_finds_what_it_waits_for():
    budget = _Budget(replace(SHORT, tokens=1000, patience=10.0), lambda: budget.seen >= 700)
    spent = []
    for _ in range(110):
        budget.spend(10)
        spent.append(budget.spent)
    assert spent[:60] == pytest.approx([n / 100 for n in range(1, 60)] + [0.59])
    assert budget.held == 500  # it looks again after fifty updates
    assert spent[-1] == 0.6


def test_who_has_not_learnt_the_basics_begins_anew_with_other_weights_and_the_same_documents():
    told = []
    settings = replace(SHORT, attempts=2)
    first = pretrain(settings, told.append)
    assert first.attempt == 0
    assert not any("anew" in line for line in told)
    second = pretrain(replace(settings, basics_loss=0.0), told.append)
    assert second.attempt == 1
    assert sum("anew" in line for line in told) == 1
    assert first.digest == second.digest
    assert not torch.equal(first.model.lm_head.weight, second.model.lm_head.weight)


@pytest.mark.medium
def test_the_loss_falls():
    curve = pretrain(replace(SHORT, tokens=80_000, warmup=5), lambda _: None, points=10).curve
    assert curve[-1][1] < curve[0][1] - 1
    assert [tokens for tokens, _ in curve] == sorted(tokens for tokens, _ in curve)


def test_what_is_given_is_no_target_and_the_end_is(tokenizer):
    kata = next(draw_katas("pretrain", 0))
    document = encode(tokenizer, kata, commented=False)
    assert document.given[0] == document.learnt[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(document.given[1:]) == kata.prompt
    assert tokenizer.decode(document.learnt[:-1]) == kata.code


def test_batches_hold_so_many_tokens_and_the_shares_they_are_asked_for(tokenizer):
    batches = list(islice(draw_batches(tokenizer, Mixture(1.0, 0.0), 2000, "s"), 20))
    assert all(sum(map(len, batch)) <= 2000 for batch in batches)
    hash_ = tokenizer.backend_tokenizer.encode("\n    #").ids[-1]
    documents = [document for batch in batches for document in batch]
    assert sum(hash_ in document.learnt for document in documents) > len(documents) / 2
    bare = [d for batch in islice(draw_batches(tokenizer, Mixture(0.0, 0.0), 2000, "s"), 20) for d in batch]
    assert not any(hash_ in document.learnt for document in bare)
    basics = [d for batch in islice(draw_batches(tokenizer, Mixture(0.0, 1.0), 2000, "s"), 20) for d in batch]
    copies = [document for document in basics if len(document.given) > 1]
    assert all(document.given[1:] == document.learnt[:-1] for document in copies)
    assert len(copies) == pytest.approx(len(basics) / 2, rel=0.2)


def test_sums_are_right_and_half_of_them_small(tokenizer):
    random, added = Random(0), list[str]()
    for _ in range(200):
        words = tokenizer.decode(draw_sums(tokenizer, random).learnt[:-1]).split()
        total = int(words[0])
        for sign, digit, told in zip(words[1::3], words[2::3], words[3::3], strict=True):
            total = (total + int(sign + digit)) % 10
            assert int(told) == total
            added.append(sign + digit)
    shares = Counter(added)
    assert set(shares) == {sign + digit for sign in "+-" for digit in "0123456789"}
    assert shares["+0"] + shares["-1"] == pytest.approx(len(added) * (0.5 * 8 / 28 + 0.5 / 10), rel=0.1)
    assert shares["-9"] == pytest.approx(len(added) * (0.5 / 28 + 0.5 / 10) / 2, rel=0.2)


@pytest.mark.medium
def test_lists_and_sums_come_first_then_commented_katas_then_few_comments(tokenizer):
    hash_ = tokenizer.backend_tokenizer.encode("\n    #").ids[-1]
    katas, commented = [], []
    for phase in _phases(Settings()):
        documents = [d for batch in islice(draw_batches(tokenizer, *phase), 100) for d in batch]
        bodies = [d.learnt for d in documents if "def solve(" in tokenizer.decode(d.given)]
        katas.append(len(bodies) / len(documents))
        commented.append(sum(hash_ in body for body in bodies) / max(1, len(bodies)))
    assert katas == [0, 1, 1]
    assert commented[1] > 0.7
    assert 0.01 < commented[2] < 0.1


def test_every_digit_and_noun_is_one_token(tokenizer):
    ids = tokenizer.backend_tokenizer.encode(" apples 3 + pears 9 2").ids
    assert [tokenizer.decode([token]) for token in ids] == [" apples", " 3", " +", " pears", " 9", " 2"]


def test_orthogonal_steps_have_singular_values_near_one():
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    for batch in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonal(batch))
        assert values.min() > 0.3
        assert values.max() < 1.3
        left, _, right = torch.linalg.svd(batch, full_matrices=False)
        assert (
            torch.nn.functional.cosine_similarity(orthogonal(batch).flatten(1), (left @ right).flatten(1)).min() > 0.9
        )


def test_muon_goes_downhill_by_its_learning_rate():
    matrix = torch.nn.Parameter(torch.eye(4) * 3)
    muon = Muon([matrix], weight_decay=0.0)
    matrix.square().sum().backward()
    muon.step(0.5)
    moved = 3 - matrix.detach().diagonal()
    assert moved.min() > 0.25
    assert moved.max() < 0.65


def test_the_measures_of_a_model_that_knows_nothing(tokenizer):
    measures = measure(pretrain(SHORT, lambda _: None).model, tokenizer)
    assert set(measures) >= {"gate", "code", "key/1", "key/5", "key/commented", "comment/1", "comment/20"}
    assert all(0 <= value <= 1 for value in measures.values())
    assert measures["key/commented"] < 0.5
