"""Something learns: each method, along the code it runs by, moves a toy policy where it should, and not where not."""

from __future__ import annotations

import math
from concurrent.futures import Future
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from engine.corpora.traces import Line, Trace
from engine.decoding.sampler import Completion, StopReason, generate
from engine.methods.batches import Batch
from engine.methods.groups import form_group, sample_tries
from engine.methods.ra3.annotation import _drawn, _resampled, _resampled_by_line
from engine.methods.ra3.estep import _improve as improve_q
from engine.methods.ra3.rollouts import Actors, LatentSampling, roll_out
from engine.methods.rlvr import _improve as improve_policy
from engine.methods.sampling import Sample, judge
from engine.model.encoding import EncodedTrace, rest_of
from engine.model.events import add_annotated, annotated_trie
from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder, collate
from engine.processes.ranks import Ranks
from engine.recipe.sections import Compute, Optimiser, Ra3, Rlvr
from engine.runs.stages.clock import Clock
from engine.runs.stages.context import Resources
from engine.runs.stages.ledger import Ledger
from engine.runs.stages.seeds import Seeds
from engine.suites.problem import Problem
from engine.training.memory import MemoryGuard
from engine.training.scoring import score
from engine.training.trainer import Trainer
from sandbox import Asserts, Check, Job, Result, Sandbox, Verdict, open_sandbox
from tests.engine.toy import HASH, NEWLINE, speaking_policy, toy_policy

A, B = 2, 3
GATE = [NEWLINE, HASH]
PROGRAM = Trace("t", "ab", (Line("\na", "", True),))
COMPUTE = Compute(row_tokens=256, decode_batch=64)
UPDATES = 30


def trace(word: int) -> EncodedTrace:
    """One line of one word, before which a latent may stand."""
    return EncodedTrace([A, B], [[NEWLINE, word]], [GATE])


def trainer(policy: Policy, rate: float) -> Trainer:
    return Trainer(policy, Optimiser(learning_rate=rate), MemoryGuard(COMPUTE), Accelerator(cpu=True))


def tries(*pairs: tuple[int, list[int] | None]) -> list[Trie]:
    return [annotated_trie(trace(word), [comment]) for word, comment in pairs]


def mean_code(policy: Policy, *pairs: tuple[int, list[int] | None]) -> float:
    """Cross-entropy of code, nats a token, without the comments before it."""
    made = tries(*pairs)
    values = score(policy, made, COMPUTE)
    code = [row[t.targets.labels == t.targets.names.index("code")] for row, t in zip(values, made, strict=True)]
    return -float(np.concatenate(code).mean())


@cache
def informed_weights() -> dict[str, torch.Tensor]:
    """Of a policy to whom a comment tells the line behind it, and which writes either, or none, as often."""
    policy = toy_policy(1, layers=2)
    teacher = trainer(policy, 0.02)
    examples = tries((A, [A]), (B, [B]), (A, None), (B, None))
    for _ in range(60):
        teacher.update(examples)
    return {name: weight.detach().clone() for name, weight in policy.model.state_dict().items()}


def informed_policy() -> Policy:
    policy = toy_policy(1, layers=2)
    policy.load_state_dict(informed_weights())
    return policy


def chances(policy: Policy) -> dict[str, float]:
    """Probabilities of what may stand before the line: any latent, and those of the words A and B."""
    found = {}
    for name, comment in (("a", [A]), ("b", [B])):
        trie = TrieBuilder()
        (event,) = add_annotated(trie, trace(A), [comment], 1)
        trie.ask_whole(event.gate, "gate")
        trie.ask(event.comment, "comment")
        with torch.no_grad():
            gate, word = logprobs(policy, collate([[trie.build()]])).exp().tolist()
        found |= {"think": gate, name: gate * word}
    return found


def resources(policy: Policy) -> Resources:
    ranks = Ranks()
    writer: Any = SimpleNamespace(seconds=0.0)
    ledger = Ledger(policy, writer, ranks, Clock())
    return Resources(ranks, MemoryGuard(COMPUTE), ledger, lambda: False, lambda: None)


def settings(mode: str, penalty: float, **estep: object) -> Ra3:
    return Ra3.model_validate(
        {
            "line_logp": "sum",
            "max_latent_tokens": 1,
            "penalty": penalty,
            "group_size": 8,
            "horizon": 1,
            "estep": {"mode": mode, "explore": 0.2, **estep},
        }
    )


def learn_latents(mode: str, penalty: float, **estep: object) -> tuple[dict[str, float], dict[str, float]]:
    """P of each latent before and behind an E-step on the line A."""
    ra3 = settings(mode, penalty, **estep)
    before, q = informed_policy(), informed_policy()
    actors, given, teacher = Actors(q, before, before), resources(q), trainer(q, 0.02)
    context: Any = SimpleNamespace(recipe=SimpleNamespace(ra3=ra3), memory=given.memory, ledger=given.ledger)
    sampling = LatentSampling(ra3.group_size, ra3.estep.explore, ra3.estep.mode)
    seeds = Seeds(1, 0)
    for number in range(UPDATES):

        def seed(index: int, g: int, number: int = number) -> int:
            return seeds(number, index, g)

        groups = roll_out(given, ra3, actors, [(PROGRAM, trace(A))] * 2, [0, 1], sampling, seed)
        improve_q(context, teacher, groups)
    return chances(before), chances(q)


@pytest.mark.medium
@pytest.mark.parametrize("mode", ["trajectory", "branch"])
@pytest.mark.parametrize(
    "estep",
    [
        pytest.param({}, id="plain"),
        pytest.param({"epochs": 2}, id="epochs", marks=pytest.mark.slow),
        pytest.param({"comment_weight": "open"}, id="open", marks=pytest.mark.slow),
    ],
)
def test_a_helpful_latent_becomes_likely_where_it_gains_more_than_it_costs(mode: str, estep: dict[str, object]) -> None:
    before, after = learn_latents(mode, 0.05, **estep)
    assert 0.1 < before["a"] < 0.5
    assert after["a"] > before["a"] + 0.3
    assert after["b"] < before["b"]


@pytest.mark.medium
@pytest.mark.parametrize("mode", ["trajectory", "branch"])
def test_the_gate_shuts_where_a_latent_costs_more_than_it_gains(mode: str) -> None:
    before, after = learn_latents(mode, 3.0)
    assert before["think"] > 0.3
    assert after["think"] < 0.15


def annotating(policy: Policy, ra3: Ra3, program: Trace, encoded: EncodedTrace, traces: int) -> Any:
    given = resources(policy)
    return SimpleNamespace(
        recipe=SimpleNamespace(ra3=ra3),
        resources=given,
        memory=given.memory,
        traces=[(program, encoded)] * traces,
        seeds=Seeds(2, 0),
    )


def latents_of(groups: Any) -> list[list[list[int] | None]]:
    return [rollout.comments for group in groups for rollout in group.rollouts]


@pytest.mark.parametrize("mode", ["trajectory", "branch", "line"])
@pytest.mark.parametrize("select", ["sample", "best"])
def test_resampling_keeps_helpful_latents_which_the_m_step_learns(mode: str, select: str) -> None:
    base = settings(mode, 0.05, method="smc")
    ra3 = base.model_copy(update={"mstep": base.mstep.model_copy(update={"select": select})})
    policy = informed_policy()
    before, context = chances(policy), annotating(policy, ra3, PROGRAM, trace(A), 16)
    frozen = policy.frozen()
    resample = _resampled_by_line if mode == "line" else _resampled
    groups, shares = resample(context, Actors(frozen, frozen, frozen), list(range(16)), 8, 0)
    latents = latents_of(groups)
    assert latents.count([[A]]) > 2 * latents.count([[B]])
    assert len(shares) == 16
    assert all(1 / 9 <= share <= 1 for share in shares)
    teacher = trainer(policy, 0.02)
    for _ in range(10):
        teacher.update([annotated_trie(trace(A), comments) for comments in latents])
    assert chances(policy)["a"] > before["a"] + 0.2


LONG = 3
PROGRAM_OF_LINES = Trace("t", "ab", tuple(Line("\na", "", True) for _ in range(LONG)))
TRACE_OF_LINES = EncodedTrace([A, B], [[NEWLINE, A]] * LONG, [GATE] * LONG)


def all_right(mode: str) -> int:
    """Of 32 traces of several lines, how many have the helpful latent before every line."""
    policy, random = toy_policy(1, layers=2), np.random.default_rng(0)
    teacher = trainer(policy, 0.02)
    for _ in range(80):
        words = random.choice([A, B], (8, LONG)).tolist()
        latents = [[[word] if random.random() < 0.5 else None for word in row] for row in words]
        traces = [EncodedTrace([A, B], [[NEWLINE, word] for word in row], [GATE] * LONG) for row in words]
        teacher.update([annotated_trie(*pair) for pair in zip(traces, latents, strict=True)])
    ra3 = settings(mode, 0.0, method="smc", explore=0.5)
    context, frozen = annotating(policy, ra3, PROGRAM_OF_LINES, TRACE_OF_LINES, 32), policy.frozen()
    resample = _resampled_by_line if mode == "line" else _resampled
    groups, _ = resample(context, Actors(frozen, frozen, frozen), list(range(32)), 8, 0)
    return latents_of(groups).count([[A]] * LONG)


@pytest.mark.medium
def test_line_by_line_finds_a_plan_that_whole_annotations_miss() -> None:
    assert all_right("line") > all_right("trajectory") + 8


def test_a_line_is_drawn_behind_the_latents_kept_before_it() -> None:
    comments: list[list[int] | None] = [[B], None]
    rest = rest_of(TRACE_OF_LINES, comments, 1)
    assert rest.prompt == [A, B, *GATE, B, NEWLINE, A, NEWLINE, A]
    assert (rest.lines, rest.gates) == ([[NEWLINE, A]], [GATE])
    further = rest_of(TRACE_OF_LINES, comments[:1], None)
    assert (len(further.lines), further.gates) == (2, [GATE, None])


@pytest.mark.parametrize(
    ("method", "mode"), [("rl", "trajectory"), *(("smc", m) for m in ("trajectory", "branch", "line"))]
)
@pytest.mark.parametrize("bound", ["penalty", "bernoulli"])
def test_where_every_latent_harms_the_best_is_none_at_all(method: str, mode: str, bound: str) -> None:
    """The gate is held open, so that every draw thinks."""
    ra3 = settings(mode if method == "smc" else "trajectory", 50.0, method=method, explore=1.0, explore_prior=1.0)
    ra3 = ra3.model_copy(update={"bound": bound, "mstep": ra3.mstep.model_copy(update={"explore": 1.0})})
    policy = informed_policy()
    context, frozen = annotating(policy, ra3, PROGRAM, trace(A), 4), policy.frozen()
    keep = {"rl": _drawn, "smc": _resampled_by_line if mode == "line" else _resampled}[method]
    groups, _ = keep(context, Actors(frozen, frozen, frozen), list(range(4)), 4, 0)
    assert latents_of(groups) == [[None]] * 4
    (gate,) = groups[0].rollouts[0].gates
    assert gate is not None
    assert 0.1 < math.exp(gate.logprob_think) < 0.9  # the policy's own, for the bound's KL


def test_an_m_step_with_good_comments_lowers_the_cross_entropy_of_code_below_that_without() -> None:
    good: list[tuple[int, list[int] | None]] = [(A, [A]), (B, [B])]
    bare: list[tuple[int, list[int] | None]] = [(A, None), (B, None)]
    policy, plain = toy_policy(1), toy_policy(1)
    start = mean_code(policy, *good)
    for learner, pairs in ((policy, good), (plain, bare)):
        teacher = trainer(learner, 0.02)
        for _ in range(40):
            teacher.update(tries(*pairs))
    assert mean_code(policy, *good) < start / 2
    assert mean_code(policy, *good) < 0.15
    assert mean_code(plain, *bare) > math.log(2) / 2 - 0.01  # a newline, then one of two words


class Counting:
    """A sandbox, and the programs it was given."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.programs = sandbox, list[str]()

    def submit(self, job: Job) -> Future[Result]:
        self.programs.append(job.program)
        return self.sandbox.submit(job)


def test_completions_that_say_the_same_are_judged_once_and_each_gets_its_verdict() -> None:
    double, triple = (
        Problem("s", str(n), "def f(x):", "f", None, (), Asserts(f"assert f(2) == {2 * n}")) for n in (2, 3)
    )
    texts = [["\n    return 2 * x", "\n    return 3 * x", "\n    return 2 * x"], ["\n    return 2 * x"] * 2]
    completions = [[Completion([1], text, [0.0], [0.0], StopReason.EOS, 1) for text in group] for group in texts]
    with open_sandbox() as opened:
        counting: Any = Counting(opened)
        samples = judge(resources(toy_policy(1)), lambda: counting, [double, triple], completions)
    assert len(counting.programs) == 3
    assert [[sample.passed for sample in group] for group in samples] == [[True, False, True], [False, False]]
    assert [[sample.completion.text for sample in group] for group in samples] == texts


def test_tests_are_counted_where_that_is_asked() -> None:
    problem = Problem(
        "s", "t", "def f(x):", "f", None, (), Asserts("assert f(2) == 4\nassert f(0) == 1\nassert f(1) == 2")
    )
    texts = ["\n    return 2 * x", "\n    return 1", "\n    return"]
    completions = [[Completion([1], text, [0.0], [0.0], StopReason.EOS, 1) for text in texts]]
    with open_sandbox() as opened:
        told, silent = (
            judge(resources(toy_policy(1)), lambda: opened, [problem], completions, count=count)[0]
            for count in (True, False)
        )
    assert [sample.fraction for sample in told] == pytest.approx([2 / 3, 1 / 3, 0])
    assert [sample.result.tests for sample in silent] == [0, 0, 0]


PROBLEM = Problem("s", "t", "ab", "f", None, (), Check("", "f"))


def drawn(policy: Policy, n: int, update: int) -> list[Sample]:
    """Samples of at most two words, right where the first is A."""
    completions = generate(
        policy, [policy.encode(PROBLEM.prompt)] * n, [1000 * update + i for i in range(n)], max_new_tokens=2
    )
    verdicts = [Verdict.PASSED if c.ids[0] == A else Verdict.WRONG_ANSWER for c in completions]
    return [Sample(PROBLEM, i, c, Result(v)) for i, (c, v) in enumerate(zip(completions, verdicts, strict=True))]


def chance_of(policy: Policy, token: int) -> float:
    trie = TrieBuilder()
    prompt = trie.add(policy.encode(PROBLEM.prompt))
    trie.ask(trie.follow([token], prompt[-1]), "next")
    return math.exp(score(policy, [trie.build()], COMPUTE)[0][0])


def improved(policy: Policy, **settings: Any) -> float:
    """The chance of what passes after twenty updates, whose samples are drawn ahead where ``settings`` say so."""
    rlvr = Rlvr.model_validate({"filter_overlong": False, **settings})
    teacher, start, given = trainer(policy, 0.02), policy.clone() if rlvr.kl else None, resources(policy)
    context: Any = SimpleNamespace(
        recipe=SimpleNamespace(rlvr=rlvr),
        policy=policy,
        memory=MemoryGuard(COMPUTE),
        ledger=given.ledger,
        ranks=given.ranks,
    )
    coming = [drawn(policy, 16, number) for number in range(rlvr.ahead)]
    for number in range(20):
        coming.append(drawn(policy, 16, number + rlvr.ahead))
        batch = Batch([form_group(coming.pop(0), rlvr)], [], 1.0, staleness=rlvr.ahead if number else 0)
        improve_policy(context, teacher, batch, start)
    return chance_of(policy, A)


@pytest.mark.parametrize("normalise", ["group", "none"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_rewards_raise_the_rate_of_what_passes(normalise: str, epochs: int) -> None:
    policy = speaking_policy(7)
    before = chance_of(policy, A)
    assert before < 0.5
    assert improved(policy, normalise=normalise, epochs=epochs) > before + 0.3


@pytest.mark.parametrize(
    "settings",
    [
        {"normalise": "mean"},
        {"objective": "gspo", "epochs": 2},
        {"objective": "cispo", "epochs": 2},
        {"ahead": 1},
        {"ahead": 1, "objective": "cispo", "epochs": 2},
    ],
    ids=["mean", "gspo", "cispo", "ahead", "cispo ahead"],
)
def test_other_objectives_raise_it_too(settings: dict[str, Any]) -> None:
    policy = speaking_policy(7)
    before = chance_of(policy, A)
    assert improved(policy, **settings) > before + 0.3


def test_a_pull_towards_the_start_holds_it_back() -> None:
    free, held = speaking_policy(7), speaking_policy(7)
    assert improved(held, kl=3.0) < improved(free) - 0.2


def test_samples_that_the_length_limit_cut_teach_nothing_when_filtered() -> None:
    policy, rlvr = speaking_policy(7), Rlvr()
    samples = drawn(policy, 16, 0)
    cut = [sample.completion.stop == StopReason.LENGTH for sample in samples]
    group = form_group(samples, rlvr)
    assert any(cut)
    assert group.kept.tolist() == [not c for c in cut]
    asked = sum(len(trie.targets) for trie in sample_tries(policy, group, 256))
    assert asked == sum(len(s.completion.ids) for s, c in zip(samples, cut, strict=True) if not c)
