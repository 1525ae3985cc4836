"""ra3-tiny as it ships: what it can do, and that its pre-training saw the tokens that the engine sees."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.corpora.traces import parse_trace
from engine.decoding.sampler import generate
from engine.katas.splits import draw_katas
from engine.model.encoding import encode_prompt, encode_trace
from engine.model.opening.loading import SHIPPED
from engine.model.policy import Policy, load_policy
from engine.pretraining.__main__ import RECORD, missed
from engine.pretraining.documents import encode, train_tokenizer
from engine.pretraining.measuring import measure
from engine.pretraining.train import Settings
from engine.suites.loading import load_suite
from sandbox import Verdict, open_sandbox

PASS_AT_1 = 0.21
"""Of the shipped weights on `katas[:150]`, two samples each at temperature 0.8."""


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("ra3-tiny")


def test_transformers_opens_it_and_it_is_small(policy: Policy) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(SHIPPED), AutoTokenizer.from_pretrained(SHIPPED)
    assert model.num_parameters() == policy.n_parameters < 1_000_000
    assert tokenizer.eos_token_id in policy.eos
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 3_000_000


def test_pre_training_had_the_tokens_that_the_engine_has(policy: Policy) -> None:
    for kata in islice(draw_katas("pretrain", 3), 1000):
        rows = kata.prompt.count("\n") + 1
        trace = encode_trace(policy, parse_trace(kata.prompt + kata.code, id="k", prompt_end=rows), "implied")
        document = encode(policy.tokenizer, kata, commented=False)
        assert document.given == trace.prompt
        assert document.learnt == [*(token for line in trace.lines for token in line), *trace.end]
        commented = encode(policy.tokenizer, kata, commented=True)
        whole = policy.encode(kata.prompt + kata.commented)
        assert [*commented.given, *commented.learnt] == [*policy.bos, *whole, *trace.end]


def test_its_tokenizer_is_the_one_that_its_recipe_trains(policy: Policy) -> None:
    assert json.loads(train_tokenizer().backend_tokenizer.to_str()) == json.loads(
        policy.tokenizer.backend_tokenizer.to_str()
    ) | {"truncation": None, "padding": None}


@pytest.mark.medium
def test_it_can_do_what_its_record_says_and_keeps_its_bounds(policy: Policy) -> None:
    recorded = json.loads((SHIPPED / RECORD).read_text())["measures"]
    assert measure(policy.model, policy.tokenizer) == pytest.approx(recorded, abs=0.01)
    assert not missed(recorded)


@pytest.mark.parametrize(
    ("name", "value"), [("comment/3", 0.5), ("key/1", 0.8), ("key/5", 0.5), ("gate", 0.5), ("gate", 0.0), ("code", 0.5)]
)
def test_a_bound_that_is_missed_is_named(name: str, value: float) -> None:
    recorded = json.loads((SHIPPED / RECORD).read_text())["measures"]
    assert [line.split()[0] for line in missed(recorded | {name: value})] == [name]


@pytest.mark.medium
def test_the_shipped_weights_give_the_committed_pass_at_1(policy: Policy) -> None:
    pairs = [(problem, n) for problem in load_suite("katas[:150]").problems for n in range(2)]
    completions = generate(
        policy,
        [encode_prompt(policy, problem.prompt) for problem, _ in pairs],
        range(len(pairs)),
        max_new_tokens=80,
        temperature=0.8,
        stop=[problem.stop for problem, _ in pairs],
        batch_size=300,
    )
    with open_sandbox() as sandbox:
        jobs = [problem.job(c.text) for (problem, _), c in zip(pairs, completions, strict=True)]
        passed = [result.verdict == Verdict.PASSED for result in sandbox.judge(jobs)]
    assert sum(passed) / len(passed) == pytest.approx(PASS_AT_1, abs=0.02)


def test_the_shipped_record_is_of_the_recipe_as_it_is() -> None:
    record = json.loads((SHIPPED / RECORD).read_text(encoding="utf-8"))
    assert record["settings"] == asdict(Settings())
