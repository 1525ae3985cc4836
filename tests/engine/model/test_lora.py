"""Adapters on one copy of the weights: exact where they add nothing, trained alone, resumed to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

from engine.errors import UsageFault
from engine.model.events import bare_trie
from engine.model.lora import Adapter
from engine.model.policy import Policy, load_policy
from engine.pipeline import execute
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Compute, Lora, Optimiser
from engine.runs import checkpoints, places
from engine.runs.planning import plan
from engine.runs.progress import Progress, Silent
from engine.store.reader import Reader
from engine.training.memory import MemoryGuard
from engine.training.scoring import score
from engine.training.trainer import Trainer
from tests.engine.small import small_recipe
from tests.engine.tiny import encoded, tiny_policy

TRIES = [bare_trie(trace) for trace in encoded()]


def adapted(dtype: torch.dtype = torch.float32) -> Policy:
    """The tiny policy with a new adapter."""
    policy = tiny_policy().clone()
    policy.model.to(dtype)
    policy.adapter = Adapter.on(policy.model, Lora(rank=4), seed=0)
    return policy


def train(policy: Policy, **compute: bool) -> list[float]:
    """Losses of a few updates."""
    trainer = Trainer(policy, Optimiser(learning_rate=1e-2), MemoryGuard(Compute(**compute)), Accelerator(cpu=True))
    return [trainer.update(TRIES).loss for _ in range(3)]


def scores(policy: Policy) -> list[list[float]]:
    return [row.tolist() for row in score(policy, TRIES, Compute())]


def test_a_new_adapter_changes_nothing() -> None:
    assert scores(adapted()) == scores(tiny_policy())


def test_training_changes_the_adapter_alone() -> None:
    policy = adapted()
    other = policy.clone()
    before = {name: weight.clone() for name, weight in other.adapter.weights().items()}
    losses = train(policy)
    assert losses[-1] < losses[0] - 0.05
    assert all(torch.equal(before[name], weight) for name, weight in other.adapter.weights().items())
    assert scores(other) == scores(tiny_policy()) != scores(policy)


def test_a_gradient_is_wanted_by_the_policy_that_is_trained_and_by_no_other() -> None:
    q = adapted()
    scorer = q.clone()
    trainer = Trainer(q, Optimiser(), MemoryGuard(Compute()), Accelerator(cpu=True))
    for _ in range(2):
        scores(scorer)
        trainer.update(TRIES)
        wanted = {id(weight) for weight in q.model.parameters() if weight.requires_grad}
        assert wanted == {id(weight) for weight in q.parameters}


def test_the_frozen_policy_is_the_model_itself_until_its_adapter_adds_something() -> None:
    policy = adapted()
    frozen, q = policy.frozen(), policy.clone()
    train(q)
    frozen.decoder()
    assert all(layer.disable_adapters for layer in policy.adapter._layers())
    assert scores(frozen) == scores(tiny_policy()) != scores(q)
    assert scores(q.frozen()) == scores(q)


def test_a_clone_costs_an_adapter_and_is_gone_with_its_last_reference() -> None:
    policy = adapted()
    alone = len(list(policy.model.parameters()))
    clone = policy.clone()
    assert clone.model is policy.model
    assert len(list(policy.model.parameters())) == alone + len(clone.parameters)
    del clone
    assert len(list(policy.model.parameters())) == alone
    scores(policy)


def test_checkpointing_gives_an_adapter_the_same_gradient() -> None:
    plain, recomputed = adapted(), adapted()
    assert train(recomputed, gradient_checkpointing=True) == pytest.approx(train(plain), rel=1e-5)


def test_a_model_in_bfloat16_gets_adapters_in_float32_that_learn() -> None:
    policy = adapted(torch.bfloat16)
    assert {weight.dtype for weight in policy.parameters} == {torch.float32}
    losses = train(policy)
    assert losses[-1] < losses[0] - 0.05


def test_a_saved_policy_opens_merged_with_transformers_and_as_an_adapter_with_peft(tmp_path: Path) -> None:
    policy = adapted()
    train(policy)
    policy.save(tmp_path)
    ids = torch.tensor([encoded()[0].prompt])
    expected = policy.logits(policy.decoder()(input_ids=ids).last_hidden_state)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(merged(ids).logits, expected, rtol=1e-4, atol=1e-4)
    alone = PeftModel.from_pretrained(tiny_policy().clone().model, tmp_path / "adapter")
    assert torch.equal(alone(ids).logits, expected)


def test_an_adapted_embedding_is_no_longer_the_base_and_is_saved_apart_from_the_head(tmp_path: Path) -> None:
    """peft begins with a zero A there, not B, and the head is tied to the embedding."""
    policy = tiny_policy().clone()
    policy.adapter = Adapter.on(policy.model, Lora(rank=4, target_modules=("embed_tokens",)), seed=0)
    assert scores(policy.frozen()) == scores(tiny_policy())
    train(policy)
    assert scores(policy.frozen()) == scores(policy) != scores(tiny_policy())
    policy.save(tmp_path)
    for ours, theirs in zip(scores(load_policy(str(tmp_path))), scores(policy), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_fused_experts_are_told_in_one_line() -> None:
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=2,
    )
    with pytest.raises(UsageFault, match="target_modules") as caught:
        Adapter.on(MixtralForCausalLM(config), Lora(rank=2, target_modules=("experts",)), 0)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_adapted_is_told_in_one_line() -> None:
    for targets in (("no_such_matrix",), ("lm_head",)):
        with pytest.raises(UsageFault, match="target_modules"):
            Adapter.on(load_policy("random:tiny").model, Lora(rank=2, target_modules=targets), 0)


STAGES = '["ntp", "ra3", "eval", "rlvr", "eval"]'
ARMS = {
    "trajectories": {"explore = 0.5": "explore = 0.5\nscorer = 'ema'\nepochs = 2", STAGES: '["ntp", "ra3", "rlvr"]'},
    "branches": {"explore = 0.5": "explore = 0.5\nmode = 'branch'", "[ra3]": "[ra3]\nhorizon = 1", STAGES: '["ra3"]'},
    "resampling": {"explore = 0.5": "explore = 0.5\nmethod = 'smc'", "[ra3]": "[ra3]\nrounds = 2", STAGES: '["ra3"]'},
}
DEATHS = {"trajectories": ("E-step", "rlvr"), "branches": ("E-step",), "resampling": ("M-step",)}


class Dies(Silent):
    """Interrupts the engine when it has told of a phase so many times."""

    def __init__(self, phase: str, after: int) -> None:
        self._phase, self._left = phase, after

    def progress(self, progress: Progress) -> None:
        self._left -= progress.phase.startswith(self._phase)
        if self._left == 0:
            raise KeyboardInterrupt


def result(recipe: Recipe, home: Path, *deaths: Dies) -> tuple[str, dict[str, object]]:
    """Fingerprint of the last weights, adapter and all, and every metric that does not tell the time."""
    run = plan(recipe, home).runs[0].id
    for death in deaths:
        with pytest.raises(KeyboardInterrupt):
            execute(home, [run], death)
    (outcome,) = execute(home, [run], Silent())
    assert outcome.status == "done", outcome.error
    checkpoint = places.newest(home / run / "checkpoints")
    assert checkpoint is not None
    reader = Reader(home)
    keys = [row["key"] for row in reader.rows("SELECT DISTINCT key FROM metrics WHERE run = ?", [run])]
    timed = ("seconds/", "memory/")
    metrics: dict[str, object] = {key: reader.series(run, key) for key in keys if not key.startswith(timed)}
    reader.close()
    return checkpoints.open_policy(recipe, checkpoint[0], "cpu").fingerprint(), metrics


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_every_stage_works_with_adapters_and_resumes_to_the_same_bits(arm: str, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **ARMS[arm], **{"[compute]": "[lora]\nrank = 2\n[compute]"})
    whole, metrics = result(recipe, tmp_path / "whole")
    deaths = [Dies(phase, after=2) for phase in DEATHS[arm]]
    assert result(recipe, tmp_path / "killed", *deaths) == (whole, metrics)
