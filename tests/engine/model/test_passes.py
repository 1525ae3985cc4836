"""What a pass replaces in a model holds in its block alone, whatever ends the block and whatever is around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import DynamicCache, OPTConfig, OPTForCausalLM

from engine.decoding import kvcache
from engine.decoding.branch_cache import BranchCache, forward_branches
from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.kvcache import RaggedCache, Span
from engine.decoding.sampler import generate
from engine.model import passes
from engine.model.events import bare_trie
from engine.model.logprobs import logprobs
from engine.model.passes import attending, predicting, training
from engine.model.policy import Policy
from engine.model.products import LowerProduct, PackedProduct
from engine.model.recomputing import enable_recomputing
from engine.model.tries import Trie, collate
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard
from engine.training.scoring import score
from engine.training.trainer import Trainer
from tests.engine.tiny import encoded, prompts, tiny_policy
from tests.engine.toy import toy_policy
from tests.engine.training.test_trainer import tries

State = tuple[object, ...]


def scores(policy: Policy, given: Sequence[Trie], compute: Compute) -> list[list[float]]:
    return [row.tolist() for row in score(policy, given, compute)]


def prepared() -> Policy:
    """A policy of its own, whose layers may be recomputed, in a state that no pass would give it."""
    policy = tiny_policy().clone()
    enable_recomputing(policy.model)
    layers = policy.decoder().layers
    layers[0].mlp.train()
    layers[1].self_attn.training = True
    return policy


def compiled(policy: Policy) -> dict[torch.nn.Module, Any]:
    """Stand-ins for compiled layers, which take half a minute: the layers' own forwards."""
    return {layer: layer.forward for layer in policy.decoder().layers}


def state(policy: Policy) -> State:
    """All that a pass may replace."""
    modes = tuple(module.training for module in policy.model.modules())
    forwards = tuple(vars(module).get("forward") for module in policy.model.modules())
    return modes, forwards, policy.decoder().config._attn_implementation, torch.is_autocast_enabled("cpu")


def fail_if(changed: bool) -> None:
    if changed:
        raise RuntimeError("in the midst")


def every_pass(policy: Policy) -> list[AbstractContextManager[None]]:
    return [
        predicting(policy),
        predicting(policy, packed=True),
        training(policy.model),
        training(policy.model, recompute=True, compiled=compiled(policy)),
        attending(policy.model, kvcache.ATTENTION),
    ]


KINDS = range(len(every_pass(tiny_policy())))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_an_error_inside_leaves_the_model_as_it_was(kind: int, autocast: torch.dtype | None) -> None:
    policy = prepared()
    policy.autocast = autocast
    before = state(policy)
    with pytest.raises(RuntimeError, match="in the midst"), every_pass(policy)[kind]:
        fail_if(state(policy) != before)
    assert state(policy) == before


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
@pytest.mark.parametrize("fails", [False, True])
def test_what_the_outer_pass_says_holds_again_behind_an_inner_one(outer: int, inner: int, fails: bool) -> None:
    policy = prepared()
    before = state(policy)
    with every_pass(policy)[outer]:
        around = state(policy)
        with pytest.raises(MemoryError) if fails else nullcontext(), every_pass(policy)[inner]:
            if fails:
                raise MemoryError
        assert state(policy) == around
    assert state(policy) == before


def test_a_pass_that_cannot_begin_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = prepared()
    before = state(policy)
    usual = passes._put

    def fails_at_the_last_layer(owner: Any, name: str, value: Any) -> None:
        if owner is policy.decoder().layers[-1] and name == "forward" and value is not passes._OF_CLASS:
            raise MemoryError
        usual(owner, name, value)

    monkeypatch.setattr(passes, "_put", fails_at_the_last_layer)
    with pytest.raises(MemoryError), training(policy.model, recompute=True, compiled=compiled(policy)):
        pass
    assert all("forward" not in vars(module) for module in policy.model.modules())
    assert state(policy) == before


@pytest.mark.parametrize("recompute", [False, True])
def test_nothing_is_in_training_mode_while_it_is_trained(recompute: bool) -> None:
    policy = prepared()
    with training(policy.model, recompute=recompute):
        assert not any(module.training for module in policy.model.modules())


def test_a_layer_that_drops_out_by_itself_has_the_same_gradient_when_it_is_recomputed() -> None:
    """In training mode OPT's layers would drop a tenth of what goes through them, anew when they are recomputed."""
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=4, hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2
    )
    policy = toy_policy(seed=7)
    policy.model = OPTForCausalLM(config).eval()
    enable_recomputing(policy.model)
    gradients = []
    for recompute in (False, True):
        policy.model.zero_grad()
        with training(policy.model, recompute=recompute):
            logprobs(policy, collate([tries()])).sum().backward()
        gradients.append([weight.grad.clone() for weight in policy.model.parameters() if weight.grad is not None])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_predictions_within_a_training_pass_go_through_the_plain_layers() -> None:
    policy = prepared()
    trained: list[int] = []

    def counted(layer: torch.nn.Module) -> Any:
        usual = layer.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            trained.append(1)
            return usual(*args, **kwargs)

        return forward

    forwards = {layer: counted(layer) for layer in policy.decoder().layers}
    trie = bare_trie(encoded()[0])
    alone = scores(policy, [trie], Compute())
    with training(policy.model, recompute=True, compiled=forwards):
        within = scores(policy, [trie], Compute())
        assert not trained
        policy.decoder()(input_ids=torch.tensor([prompts()[0]]))
    assert len(trained) == len(forwards)
    assert within == alone


def test_scoring_amid_an_update_changes_neither() -> None:
    plain, watched = toy_policy(seed=7, layers=2), toy_policy(seed=7, layers=2)
    compute = Compute(gradient_checkpointing=True, row_tokens=16)
    scored = scores(watched, tries(), compute)
    amid: list[list[list[float]]] = []
    passes_of_layer: list[int] = []
    trainer = Trainer(watched, Optimiser(), MemoryGuard(compute), Accelerator(cpu=True))
    usual = trainer._backward

    def scores_first(*args: Any, **named: Any) -> Any:
        amid.append(scores(watched, tries(), compute))
        passes_of_layer.clear()
        sums = usual(*args, **named)
        assert len(passes_of_layer) == 2  # still recomputed
        return sums

    watched.decoder().layers[0].self_attn.register_forward_hook(lambda *_: passes_of_layer.append(1))
    trainer._backward = scores_first  # type: ignore[method-assign]
    update = trainer.update(tries())
    assert amid == [scored] * len(amid) != []
    assert update == Trainer(plain, Optimiser(), MemoryGuard(compute), Accelerator(cpu=True)).update(tries())
    assert watched.fingerprint() == plain.fingerprint()
    assert scores(watched, tries(), compute) == scores(plain, tries(), compute) != scored


@contextmanager
def failing_layer(policy: Policy, after: int) -> Iterator[None]:
    """The last layer runs out of memory at one of its passes."""
    seen: list[int] = []

    def hook(*_: object) -> None:
        seen.append(1)
        if len(seen) > after:
            raise MemoryError

    handle = policy.decoder().layers[-1].register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("after", [0, 1])
def test_a_decoding_that_runs_out_of_memory_leaves_the_model_as_it_was(after: int) -> None:
    policy = prepared()
    before = state(policy)
    with pytest.raises(MemoryError), failing_layer(policy, after):
        generate(policy, prompts()[:2], [0, 1], max_new_tokens=4)
    assert state(policy) == before
    with pytest.raises(MemoryError), failing_layer(policy, after):
        annotate_branches(policy, encoded()[:1], [1], max_latent_tokens=4, explore=1.0)
    assert state(policy) == before


@torch.no_grad()
def test_one_forward_pass_alone_attends_by_another_function() -> None:
    policy = prepared()
    usual = policy.decoder().config._attn_implementation
    during: list[str] = []
    policy.decoder().register_forward_pre_hook(lambda *_: during.append(policy.decoder().config._attn_implementation))
    ids = prompts()[0]
    kvcache.forward(policy, RaggedCache(1), [Span(0, 0, len(ids), 0)], ids)
    shared, places = DynamicCache(), torch.arange(len(ids))
    policy.hidden(torch.tensor([ids]), places[None], (places <= places[:, None])[None, None], shared)
    visible = torch.ones(1, len(ids), dtype=torch.bool)
    forward_branches(policy, BranchCache(shared, visible, torch.tensor([len(ids)])), [5])
    assert during == ["ra3_ragged", usual, "ra3_branches"]
    assert policy.decoder().config._attn_implementation == usual


@torch.inference_mode()
def test_layers_are_cast_once_and_their_products_are_autocasts_to_the_bit() -> None:
    policy = tiny_policy().clone()
    policy.autocast = torch.bfloat16
    ids = torch.tensor([prompts()[3]])
    usual = policy.decoder()
    with predicting(policy):
        cast = usual(input_ids=ids).last_hidden_state
    plain = usual(input_ids=ids).last_hidden_state
    with predicting(policy, packed=True):
        layers = [module for module in usual.modules() if type(module) is torch.nn.Linear]
        assert layers
        assert all(isinstance(layer.forward, LowerProduct) for layer in layers)
        assert all(tensor.dtype is torch.bfloat16 for layer in layers for tensor in held(layer.forward))
        assert torch.equal(usual(input_ids=ids).last_hidden_state, cast)
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(usual(input_ids=ids).last_hidden_state, plain)
    assert not torch.equal(cast, plain)
    assert torch.equal(usual(input_ids=ids).last_hidden_state, plain)


@pytest.mark.parametrize("bias", [False, True])
def test_a_lower_product_is_its_layers_with_its_bias(bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, 3, bias=bias), torch.randn(2, 5)
    product = LowerProduct(layer, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(product(x), layer(x))
    assert torch.equal(product(x), layer(x))


def held(product: object) -> list[Tensor]:
    """The tensors that a product keeps."""
    return [value for value in vars(product).values() if isinstance(value, Tensor)]


@torch.no_grad()
def test_the_packed_head_is_the_models_own_while_it_lasts() -> None:
    """Also for who calls the model whole, in whatever precision."""
    policy = tiny_policy().clone()
    policy.model.to(torch.bfloat16)
    ids = torch.tensor([prompts()[3]])
    usual: Tensor = policy.model(input_ids=ids).logits
    with predicting(policy, packed=True):
        assert isinstance(policy.model.get_output_embeddings().forward, PackedProduct)
        packed = policy.model(input_ids=ids).logits
        torch.testing.assert_close(packed, usual.float(), rtol=2e-2, atol=2e-2 * float(usual.abs().max()))
    assert torch.equal(policy.model(input_ids=ids).logits, usual)
