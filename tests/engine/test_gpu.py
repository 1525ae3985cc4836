"""A GPU against the CPU, whose answers the other tests hold to hand computations. Without one, the CPU against itself.

Draws follow from seeds, so that they are the same but for rounding: what is drawn is held fixed, and judged by both.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.kvcache import FIRST_COLUMNS
from engine.decoding.latents import annotate
from engine.decoding.sampler import Completion, generate
from engine.methods.ahead import own_stream
from engine.model.events import add_annotated, bare_trie
from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder, collate
from engine.recipe.files import parse_recipe
from engine.recipe.sections import Compute, Optimiser
from engine.runs.checkpoints import open_policy
from engine.training.memory import MemoryGuard
from engine.training.objectives import Clip
from engine.training.scoring import score
from engine.training.trainer import Trainer
from tests.engine.devices import DEVICE, accelerator
from tests.engine.tiny import encoded, prompts, tiny_policy

NEAR = 2e-3
"""Nats a token between two devices in float32."""


@cache
def there() -> Policy:
    """The tiny policy on the device; not to be changed."""
    return moved(DEVICE)


@cache
def here() -> Policy:
    """The tiny policy on the CPU; not to be changed."""
    return moved(torch.device("cpu"))


def moved(device: torch.device) -> Policy:
    policy = tiny_policy().clone()
    policy.model.to(device)
    return policy


def decoding(recorded: bool) -> Policy:
    """The tiny policy on the device, with CUDA graphs or without."""
    return replace(moved(DEVICE), cuda_graphs=recorded)


def fail_if_nan(hidden: torch.Tensor) -> None:
    if hidden.isnan().any():
        raise ValueError("not a number")


def annotated(label: str = "code", coefficient: float = 1.0) -> list[Trie]:
    """Lines, comments that end and gates, both ways."""
    built = []
    for trace in encoded():
        trie = TrieBuilder()
        comments = [[5, 6] if prefix else None for prefix in trace.gates]
        for gate, comment, line in add_annotated(trie, trace, comments, max_latent_tokens=4):
            trie.ask(line.tokens, label, coefficient)
            trie.ask(comment, "comment", -coefficient)
            if gate.nodes:
                trie.ask_whole(gate, "gate", complement=True)
        built.append(trie.build())
    return built


def gradients(policy: Policy) -> list[torch.Tensor]:
    batch = collate([annotated()]).to(policy.device)
    policy.model.zero_grad()
    (logprobs(policy, batch) * batch.coefficients).sum().backward()
    return [weight.grad.cpu() for weight in policy.model.parameters() if weight.grad is not None]


@contextmanager
def no_waiting() -> Iterator[None]:
    """Inside, on a GPU, an error where the CPU waits for it."""
    if DEVICE.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("row_tokens", [64, 1024])
def test_logprobs_of_lines_comments_and_gates_are_the_same(row_tokens: int) -> None:
    for ours, theirs in zip(
        *(score(p, annotated(), Compute(row_tokens=row_tokens)) for p in (there(), here())), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=NEAR, rtol=1e-4)


def test_gradients_are_the_same() -> None:
    for ours, theirs in zip(gradients(moved(DEVICE)), gradients(moved(torch.device("cpu"))), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-3 * float(theirs.abs().max()))


@pytest.mark.parametrize("recorded", [False, True])
def test_greedy_completions_are_the_same(recorded: bool) -> None:
    for ours, theirs in zip(
        *(
            generate(p, prompts(), range(7), max_new_tokens=12, temperature=0.0, batch_size=4)
            for p in (decoding(recorded), here())
        ),
        strict=True,
    ):
        assert ours.ids == theirs.ids
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=NEAR)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_most_draws_are_the_same(temperature: float, recorded: bool) -> None:
    ours, theirs = (
        generate(p, prompts() * 3, range(21), max_new_tokens=8, temperature=temperature, batch_size=16)
        for p in (decoding(recorded), here())
    )
    assert sum(a.ids == b.ids for a, b in zip(ours, theirs, strict=True)) >= 20


@pytest.mark.parametrize("recorded", [False, True])
def test_completions_that_outgrow_the_cache_are_the_same(recorded: bool) -> None:
    settings = {"max_new_tokens": FIRST_COLUMNS + 20, "temperature": 0.0, "batch_size": 4}
    ours, theirs = (generate(p, prompts()[:5], range(5), **settings) for p in (decoding(recorded), here()))  # type: ignore[arg-type]
    for a, b in zip(ours, theirs, strict=True):
        assert a.logprobs[:200] == pytest.approx(b.logprobs[:200], abs=10 * NEAR)
        assert a.ids == b.ids


@pytest.mark.parametrize("asked", ["true", "false"])
def test_a_runs_policy_records_its_passes_on_a_gpu_alone(asked: str) -> None:
    recipe = parse_recipe(
        f"""
        name = "x"
        model.id = "random:tiny"
        compute.cuda_graphs = {asked}
        arms.all.stages = ["eval"]
    """,
        "test",
    )
    assert open_policy(recipe, None, str(DEVICE)).cuda_graphs == (asked == "true" and DEVICE.type == "cuda")


@pytest.mark.filterwarnings("ignore:.*without CUDA graphs")
def test_a_model_that_asks_the_device_is_decoded_without_graphs_and_others_are_not() -> None:
    asking = decoding(recorded=True)
    asking.decoder().register_forward_hook(lambda _module, _inputs, output: fail_if_nan(output.last_hidden_state))
    expected = generate(here(), prompts(), range(7), max_new_tokens=12, batch_size=4)
    for _ in range(2):
        assert [c.ids for c in generate(asking, prompts(), range(7), max_new_tokens=12, batch_size=4)] == [
            c.ids for c in expected
        ]
    assert asking.cuda_graphs == (DEVICE.type != "cuda")
    assert torch.rand(3, device=DEVICE).isfinite().all()  # a record that broke leaves the generator as it was
    trainer = Trainer(asking, Optimiser(), MemoryGuard(Compute(row_tokens=128)), accelerator())
    assert np.isfinite(trainer.update(annotated()).loss)
    other = decoding(recorded=True)
    assert [c.ids for c in generate(other, prompts(), range(7), max_new_tokens=12, batch_size=4)] == [
        c.ids for c in expected
    ]
    assert other.cuda_graphs


@pytest.mark.parametrize(("draw", "recorded"), [(annotate, False), (annotate, True), (annotate_branches, False)])
def test_gates_and_comments_are_the_same(draw: object, recorded: bool) -> None:
    settings = {"max_latent_tokens": 5, "explore": 1.0, "comment_temperature": 0.0}
    policies = (decoding(recorded), here())
    for ours, theirs in zip(*(draw(p, encoded(), range(3), **settings) for p in policies), strict=True):  # type: ignore[operator]
        assert ours.comments == theirs.comments
        for a, b in zip(ours.gates, theirs.gates, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert a.logprob_think == pytest.approx(b.logprob_think, abs=NEAR)


@pytest.mark.parametrize("clip", [None, Clip(0.2, 0.2)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_updates_are_the_same(checkpointing: bool, clip: Clip | None) -> None:
    compute = Compute(row_tokens=128, gradient_checkpointing=checkpointing)
    updates = []
    for device, accelerated in ((DEVICE, accelerator()), (torch.device("cpu"), None)):
        policy = moved(device)
        trainer = Trainer(policy, Optimiser(learning_rate=1e-3), MemoryGuard(compute), accelerated or on_cpu())
        updates.append([trainer.update(annotated(), clip) for _ in range(3)])
    for ours, theirs in zip(*updates, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-2, abs=1e-3)
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=2e-2)
        assert ours.mean_logprob == pytest.approx(theirs.mean_logprob, rel=1e-2, abs=NEAR)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_copy_draws_the_same_while_the_policy_trains(recorded: bool) -> None:
    policy, copy = moved(DEVICE), decoding(recorded)
    trainer = Trainer(policy, Optimiser(learning_rate=1e-3), MemoryGuard(Compute(row_tokens=128)), accelerator())

    def drawn() -> list[Completion]:
        with own_stream(DEVICE):
            return generate(copy, prompts(), range(7), max_new_tokens=12, batch_size=4)

    alone = drawn()
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(drawn)
        updates = [trainer.update(annotated()) for _ in range(3)]
    assert beside.result() == alone
    assert updates[2].loss < updates[0].loss


def on_cpu() -> Accelerator:
    return Accelerator(cpu=True) if DEVICE.type == "cpu" else _CpuAccelerator()  # type: ignore[return-value]


class _CpuAccelerator:
    """What the trainer uses of one, on a CPU: accelerate holds one device a process."""

    device = torch.device("cpu")

    @contextmanager
    def autocast(self) -> Iterator[None]:
        yield

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def clip_grad_norm_(self, weights: list[torch.nn.Parameter], norm: float) -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_(weights, norm)


def test_a_training_pass_and_a_scoring_make_nobody_wait() -> None:
    policy = moved(DEVICE)
    batch, bare = collate([annotated()]), collate([[bare_trie(trace)] for trace in encoded()])
    assert logprobs(policy, batch.to(DEVICE)).isfinite().all()  # what is made once
    with no_waiting():
        logprobs(policy, batch.to(DEVICE)).sum().backward()
        with torch.no_grad():
            logprobs(policy, bare.to(DEVICE))
