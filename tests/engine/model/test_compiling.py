"""Compiled layers train as the plain ones do, and nothing else goes through them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
import torch
from accelerate import Accelerator
from torch._dynamo.utils import counters

from engine.errors import EnvironmentFault
from engine.recipe.files import load_recipe
from engine.recipe.keys import RecipeError
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard
from engine.training.trainer import Trainer, Update
from tests.engine.engines import FORKS
from tests.engine.toy import toy_policy
from tests.engine.training.test_trainer import tries

pytestmark = pytest.mark.slow

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))),
    reason="there is no C++ compiler, which torch.compile needs on a CPU",
)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def updates(compute: Compute) -> list[Update]:
    """Of two updates, the second with what the first made of the weights."""
    trainer = Trainer(toy_policy(seed=7, layers=2), Optimiser(), MemoryGuard(compute), Accelerator(cpu=True))
    return [trainer.update(tries()), trainer.update(tries()[:1])]


@needs_compiler
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_updates_are_the_plain_ones(checkpointing: bool) -> None:
    plain = updates(Compute(gradient_checkpointing=checkpointing))
    assert not counters["frames"]
    compiled = updates(Compute(gradient_checkpointing=checkpointing, compile=True))
    assert counters["frames"]["ok"] > 0
    for ours, theirs in zip(compiled, plain, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)


@needs_compiler
def test_only_updates_go_through_compiled_layers() -> None:
    policy = toy_policy(seed=7, layers=2)
    Trainer(policy, Optimiser(), MemoryGuard(Compute(compile=True)), Accelerator(cpu=True)).update(tries())
    assert not any("forward" in layer.__dict__ for layer in policy.decoder().layers)


def without_compiler(told: Connection) -> None:
    torch._inductor.config.force_disable_caches = True
    torch._inductor.config.cpp.cxx = ("no-such-compiler",)
    try:
        updates(Compute(compile=True))
    except EnvironmentFault as error:
        told.send(str(error))


def test_a_machine_that_cannot_compile_is_told_what_to_do() -> None:
    """In a process of its own: torch leaves its evaluation of frames behind, on which deep calls use up the stack."""
    told, telling = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=without_compiler, args=(telling,))
    process.start()
    telling.close()
    assert told.recv().startswith("compute.compile: torch cannot compile")
    process.join()


def test_shards_are_not_compiled() -> None:
    with pytest.raises(RecipeError, match=r"compute\.compile"):
        load_recipe("smoke", ["compute.shard=true", "compute.compile=true"])
