"""Needing less memory leaves the numbers as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from engine.decoding import kvcache
from engine.errors import EnvironmentFault, UsageFault
from engine.model import tries as packing
from engine.model.policy import Policy
from engine.model.recomputing import enable_recomputing
from engine.model.tries import Trie
from engine.pipeline import execute
from engine.recipe.sections import Compute, Optimiser
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.training import trainer as trainer_module
from engine.training.memory import MemoryGuard, fewer_sequences, narrower
from engine.training.trainer import Trainer
from tests.engine.small import small_recipe
from tests.engine.toy import toy_policy
from tests.engine.training.test_trainer import tries


def updated(compute: Compute) -> tuple[Policy, list[Tensor], int]:
    """A policy after one update, the gradient it took, and how often a layer was computed for it."""
    policy = toy_policy(seed=7, layers=2)
    policy.decoder().layers[0].self_attn.attention_dropout = 0.5
    gradients: list[Tensor] = []
    passes: list[int] = []
    for weight in policy.parameters:
        weight.register_post_accumulate_grad_hook(lambda weight: gradients.append(weight.grad.clone()))
    policy.decoder().layers[0].self_attn.register_forward_hook(lambda *_: passes.append(1))
    Trainer(policy, Optimiser(), MemoryGuard(compute), Accelerator(cpu=True)).update(tries())
    return policy, gradients, len(passes)


def test_checkpointing_computes_each_layer_twice_and_gives_the_same_gradient() -> None:
    _, plain, once = updated(Compute())
    policy, recomputed, twice = updated(Compute(gradient_checkpointing=True))
    assert (once, twice) == (1, 2)
    for ours, theirs in zip(recomputed, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    assert not any(module.training for module in policy.model.modules())


def test_a_clone_of_a_checkpointed_policy_recomputes_its_own_layers() -> None:
    policy, _, _ = updated(Compute(gradient_checkpointing=True))
    clone = policy.clone()
    passes: list[object] = []
    clone.decoder().layers[1].register_forward_hook(lambda module, *_: passes.append(module))
    Trainer(clone, Optimiser(), MemoryGuard(Compute(gradient_checkpointing=True)), Accelerator(cpu=True)).update(
        tries()
    )
    assert set(map(id, passes)) == {id(clone.decoder().layers[1])}


def test_a_model_that_cannot_be_checkpointed_is_told_in_one_line() -> None:
    class Plain(torch.nn.Module):
        def activation_checkpointing_enable(self, *_: object) -> None:
            raise ValueError

    with pytest.raises(UsageFault, match="gradient_checkpointing"):
        enable_recomputing(Plain())


def hungry(compute: Compute) -> int:
    """Asks for more than any address space holds unless the rows are one and the tokens at most 32."""
    excess = compute.micro_rows - 1 + max(0, compute.row_tokens - 32)
    torch.empty(excess * 2**50, dtype=torch.uint8)
    return compute.row_tokens


def test_batches_are_halved_until_they_fit_rows_first_and_each_change_is_told() -> None:
    tried: list[tuple[int, int]] = []
    messages: list[str] = []

    def work(compute: Compute) -> int:
        tried.append((compute.micro_rows, compute.row_tokens))
        return hungry(compute)

    assert MemoryGuard(Compute(micro_rows=5, row_tokens=100), messages.append).run(work) == 25
    assert tried == [(5, 100), (2, 100), (1, 100), (1, 50), (1, 25)]
    assert len(messages) == 4
    assert messages[0].startswith("memory ran out (81064793292668928 bytes")
    assert messages[0].endswith("more were not to be had): compute.micro_rows is 2 from now on, not 5")


def test_smaller_batches_are_kept_for_other_work() -> None:
    guard = MemoryGuard(Compute(micro_rows=5, row_tokens=100, decode_batch=8))
    guard.run(hungry)
    assert guard.run(lambda compute: compute.row_tokens, fewer_sequences) == guard.compute.row_tokens == 25
    assert guard.compute.decode_batch == 8


def test_fixed_batches_are_never_made_smaller() -> None:
    guard = MemoryGuard(Compute(row_tokens=100), fixed=True)
    with pytest.raises(EnvironmentFault, match="row_tokens=100"):
        guard.run(hungry)
    assert guard.compute.row_tokens == 100


def test_where_the_smallest_batches_do_not_fit_one_line_says_what_to_change() -> None:
    with pytest.raises(EnvironmentFault, match="gradient_checkpointing") as caught:
        MemoryGuard(Compute(row_tokens=100)).run(hungry, partial(narrower, least=40))
    assert "\n" not in str(caught.value)


def test_another_error_is_no_shortage() -> None:
    def wrong(_: Compute) -> None:
        torch.ones(2) @ torch.ones(3)

    with pytest.raises(RuntimeError, match="size") as caught:
        MemoryGuard(Compute()).run(wrong)
    assert not isinstance(caught.value, EnvironmentFault)


STARVED = """
import resource, sys
from functools import partial
from accelerate import Accelerator
from engine.errors import EnvironmentFault
from engine.training.memory import MemoryGuard
from engine.model.tries import Events, Support, TrieBuilder
from engine.model.policy import load_policy
from engine.recipe.sections import Compute, Optimiser
from engine.training.trainer import Trainer
from engine.training.scoring import score

def tries():
    made = []
    for i in range(8):
        trie = TrieBuilder()
        nodes = trie.add([(7 * i + 3 * n) % 900 for n in range(300)])
        trie.ask(Events(nodes, [5] * 300, [Support.ANY] * 300), "code")
        made.append(trie.build())
    return made

def update(policy, compute, most=resource.RLIM_INFINITY):
    messages = []
    guard = MemoryGuard(compute, messages.append)
    trainer = Trainer(policy, Optimiser(learning_rate=1e-3), guard, Accelerator(cpu=True))
    trainer.update(tries()[:1])
    if most != resource.RLIM_INFINITY:
        most += int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    try:
        update = trainer.update(tries())
        scored = guard.run(partial(score, policy, tries()))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(len(messages), update.loss, update.grad_norm, sum(map(sum, scored)))

policy = load_policy("random:tiny")
update(policy.clone(), Compute(row_tokens=300, micro_rows=1))
for more in range(8, 256, 4):  # how much a row takes is a matter of the processor: the least that one can do with
    try:
        update(policy.clone(), Compute(row_tokens=300, micro_rows=8), more << 20)
        break
    except EnvironmentFault:
        pass
"""


@pytest.mark.slow
def test_an_update_short_of_memory_gives_the_same_gradient_in_smaller_batches() -> None:
    # Tensors are mapped, and do not find their place in what importing left free of the heap.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    ran = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    plain, starved = ([float(word) for word in line.split()] for line in ran.stdout.splitlines())
    assert plain[0] == 0 < starved[0]
    assert starved[1:] == pytest.approx(plain[1:], rel=1e-4)


def test_an_update_that_was_cut_short_leaves_nothing_of_its_gradient() -> None:
    straight, failed = toy_policy(seed=7), toy_policy(seed=7)
    guard = MemoryGuard(Compute(row_tokens=16), fixed=True)
    trainer = Trainer(failed, Optimiser(), guard, Accelerator(cpu=True))
    passes: list[int] = []

    def fails_at_the_second(*_: object) -> None:
        passes.append(1)
        if len(passes) == 2:
            raise MemoryError

    failed.decoder().register_forward_hook(fails_at_the_second)
    with pytest.raises(EnvironmentFault):
        trainer.update(tries() * 4)
    whole = Trainer(straight, Optimiser(), guard, Accelerator(cpu=True))
    assert trainer.update(tries() * 4) == whole.update(tries() * 4)
    assert failed.fingerprint() == straight.fingerprint()


class Remembers(Silent):
    """The events of a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, run: str, level: str, message: str) -> None:
        self.lines.append(f"{level}: {message}")


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pass may hold more than one row or two sequences: beyond, the allocator is asked for more than there is."""
    plain_collate, plain_layout = packing.collate, kvcache.Layout.__init__

    def collate(rows: Sequence[Sequence[Trie]]) -> packing.Batch:
        torch.empty(max(0, len(rows) - 1) * 2**50, dtype=torch.uint8)
        return plain_collate(rows)

    def layout(
        self: kvcache.Layout, spans: Sequence[kvcache.Span], ids: Sequence[int], n_rows: int, *more: object
    ) -> None:
        torch.empty(max(0, n_rows - 2) * 2**50, dtype=torch.uint8)
        plain_layout(self, spans, ids, n_rows, *more)

    monkeypatch.setattr(trainer_module, "collate", collate)
    monkeypatch.setattr(kvcache.Layout, "__init__", layout)


@pytest.mark.slow
def test_a_run_short_of_memory_goes_on_in_smaller_batches_and_says_so_once(tmp_path: Path, scarce: None) -> None:
    sizes = {"row_tokens = 512": "row_tokens = 64\nmicro_rows = 4"}
    arm = {'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp", "ra3"'}
    recipe = small_recipe(tmp_path, **sizes, **arm)
    listener = Remembers()
    run = plan(recipe, tmp_path / "home").runs[0].id
    (outcome,) = execute(tmp_path / "home", [run], listener)
    assert outcome.status == "done", outcome.error
    changed = [line.split(": ")[2] for line in listener.lines if line.startswith("warning: memory ran out")]
    assert changed == [
        "compute.micro_rows is 2 from now on, not 4",
        "compute.micro_rows is 1 from now on, not 2",
        "compute.decode_batch is 4 from now on, not 8",
        "compute.decode_batch is 2 from now on, not 4",
    ]
