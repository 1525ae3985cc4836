"""Lower precision: close to float32 where it is said to be, and the same in sampling, scoring and training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.latents import Rollout, annotate
from engine.decoding.sampler import generate
from engine.model.encoding import EncodedTrace
from engine.model.events import bare_trie
from engine.model.policy import Policy, Support
from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard
from engine.training.scoring import score
from engine.training.trainer import Trainer
from tests.engine.devices import DEVICE, accelerator
from tests.engine.tiny import encoded, prompts, tiny_policy

TOLERANCE = 0.1
"""Nats a token between bfloat16 autocast and float32, of a model whose predictions are far from uniform; the mean of
these is a tenth of it."""


@pytest.fixture
def lower() -> Iterator[Accelerator]:
    """An accelerator that trains in bfloat16 autocast."""
    yield accelerator("bf16")
    AcceleratorState._reset_state()


def half() -> Policy:
    """The tiny policy under bfloat16 autocast."""
    policy = tiny_policy().clone()
    policy.autocast = torch.bfloat16
    return policy


def first_gate(policy: Policy, trace: EncodedTrace) -> float:
    """Log-probability of a latent before the first line that may have one, by the pass that trains."""
    trie = TrieBuilder()
    parent = trie.add(trace.prompt)[-1]
    for ids, prefix in zip(trace.lines, trace.gates, strict=True):
        if prefix is not None:
            trie.ask_whole(trie.follow(prefix, parent, first=Support.NEWLINE), "gate")
            break
        parent = trie.add(ids, parent)[-1]
    return float(score(policy, [trie.build()], Compute())[0][0])


def bare_tries() -> list[Trie]:
    return [bare_trie(trace) for trace in encoded()]


def logprobs(policy: Policy) -> torch.Tensor:
    """Of all targets of the bare traces."""
    return torch.tensor([value for tree in score(policy, bare_tries(), Compute()) for value in tree])


def test_logprobs_under_autocast_are_near_those_of_float32_but_not_them() -> None:
    off = (logprobs(half()) - logprobs(tiny_policy())).abs()
    assert float(off.max()) < TOLERANCE
    assert 1e-5 < float(off.mean()) < TOLERANCE / 5


def test_the_head_is_computed_in_float32_whatever_the_weights_and_the_autocast() -> None:
    policy = tiny_policy().clone()
    hidden = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    exact = policy.logits(hidden)
    with torch.autocast(DEVICE.type, torch.bfloat16):
        assert torch.equal(policy.logits(hidden), exact)
    policy.model.to(torch.bfloat16)
    weight = policy.model.get_output_embeddings().weight.float()
    assert torch.equal(policy.logits(hidden), hidden @ weight.T)


def test_training_in_bfloat16_lowers_the_loss_and_keeps_weights_and_moments_in_float32(lower: Accelerator) -> None:
    policy = half()
    trainer = Trainer(policy, Optimiser(learning_rate=1e-3), MemoryGuard(Compute()), lower)
    losses = [trainer.update(bare_tries()).loss for _ in range(6)]
    assert losses[-1] < losses[0] - 0.5
    assert {weight.dtype for weight in policy.parameters} == {torch.float32}
    moments = trainer.state_dict()["adam"]["state"].values()
    assert {slot["exp_avg_sq"].dtype for slot in moments} == {torch.float32}


def test_scoring_has_the_numbers_of_the_pass_that_trains(lower: Accelerator) -> None:
    policy = half()
    scored = logprobs(policy)
    update = Trainer(policy, Optimiser(), MemoryGuard(Compute()), lower).update(bare_tries())
    assert update.loss == pytest.approx(-float(scored.mean()), abs=1e-6)


@pytest.mark.parametrize("draw", [annotate, annotate_branches])
def test_what_is_drawn_has_the_precision_of_what_is_trained(draw: Callable[..., list[Rollout]]) -> None:
    """Else the ratio of new to old log-probabilities would begin off 1 by more than two kernels differ."""
    (trace,) = encoded()[:1]
    gates = {}
    for name, policy in {"float32": tiny_policy(), "bfloat16": half()}.items():
        (rollout,) = draw(policy, [trace], [1], max_latent_tokens=4, explore=0.0)
        gates[name] = next(gate.logprob_think for gate in rollout.gates if gate is not None)
        assert gates[name] == pytest.approx(first_gate(policy, trace), abs=0.02)
    assert abs(gates["bfloat16"] - gates["float32"]) > 1e-4


def test_free_sampling_runs_in_the_lower_precision_and_is_near_float32() -> None:
    exact = generate(tiny_policy(), prompts()[:2], [0, 0], max_new_tokens=1, temperature=0.0)
    ours = generate(half(), prompts()[:2], [0, 0], max_new_tokens=1, temperature=0.0)
    for a, b in zip(exact, ours, strict=True):
        assert a.logprobs != b.logprobs
        assert a.logprobs == pytest.approx(b.logprobs, abs=TOLERANCE)
