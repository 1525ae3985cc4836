"""A model whose numbers here would not be its own is refused when it is opened, in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import (
    BartConfig,
    BartForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3Config,
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    StableLmConfig,
    StableLmForCausalLM,
)

from engine.decoding import probe
from engine.decoding.branch_cache import BranchCache
from engine.decoding.kvcache import RaggedCache
from engine.model.policy import ModelError, Policy, load_policy
from engine.model.probes import check_model, packed
from engine.model.probes.declared import max_positions
from tests.engine.tiny import SOURCES, tiny_policy

SIZES = {"vocab_size": 1024, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA_LIKE = {**SIZES, "intermediate_size": 32, "num_key_value_heads": 2, "head_dim": 16}


def policy_of(model: Any) -> Policy:
    """The tiny policy's tokenizer with another model, whose weights are large enough to matter."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(5.0)
    return replace(tiny_policy(), model=model.eval(), name="other")


def gemma2(**settings: Any) -> Any:
    return Gemma2ForCausalLM(Gemma2Config(**LLAMA_LIKE, layer_types=["full_attention"] * 2, pad_token_id=0, **settings))


def gpt_oss() -> Any:
    return GptOssForCausalLM(
        GptOssConfig(**LLAMA_LIKE, layer_types=["full_attention"] * 2, num_local_experts=2, num_experts_per_tok=1)
    )


def bart() -> Any:
    return BartForCausalLM(
        BartConfig(vocab_size=1024, d_model=32, decoder_layers=1, decoder_ffn_dim=32, decoder_attention_heads=2)
    )


UNFIT: dict[str, tuple[Callable[[], Any], str]] = {
    "soft caps of logits": (lambda: gemma2(attn_logit_softcapping=None), "output head that is more than one matrix"),
    "soft caps of attention": (lambda: gemma2(final_logit_softcapping=None), "attention that depends on softcap"),
    "sinks": (gpt_oss, "attention that depends on s_aux"),
    "scaled logits": (
        lambda: CohereForCausalLM(CohereConfig(**{k: v for k, v in LLAMA_LIKE.items() if k != "head_dim"})),
        "output head that is more than one matrix",
    ),
    "positions counted by itself": (bart, "reads several sequences in one row otherwise"),
    "biases by place": (
        lambda: MptForCausalLM(MptConfig(d_model=32, n_heads=2, n_layers=1, vocab_size=1024)),
        "reads several sequences in one row otherwise",
    ),
    "attention that takes nothing else": (
        lambda: StableLmForCausalLM(StableLmConfig(**SIZES, intermediate_size=32, num_key_value_heads=2)),
        "attention that cannot be replaced",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_an_architecture_that_would_give_other_numbers_is_refused(kind: str) -> None:
    make, reason = UNFIT[kind]
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=f"other: .*{reason}") as caught:
        check_model(policy_of(make()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: OPTForCausalLM(OPTConfig(**SIZES, ffn_dim=32, word_embed_proj_dim=32)),
        lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=3, n_head=2, vocab_size=1024)),
    ],
)
def test_dropout_and_learned_positions_are_right(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    policy = policy_of(make())
    check_model(policy)
    probe.check_decoding(policy)


def test_packed_positions_that_are_off_by_one_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy().clone()
    usual = policy.hidden
    monkeypatch.setattr(policy, "hidden", lambda ids, places, mask: usual(ids, places + (places > 2), mask))
    with pytest.raises(ModelError, match="reads several sequences in one row otherwise"):
        packed.check_packed(policy)


def test_a_branch_that_sees_its_neighbour_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy().clone()
    usual = policy.hidden
    monkeypatch.setattr(policy, "hidden", lambda ids, places, mask: usual(ids, places, torch.ones_like(mask).tril()))
    with pytest.raises(ModelError, match="reads several sequences in one row otherwise"):
        packed.check_packed(policy)


class _Forgetful(torch.nn.Module):
    """An activation that is another one while a backward pass computes it again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        again = torch._C._current_graph_task_id() >= 0
        return torch.nn.functional.silu(x) * (1.1 if again else 1.0)


def test_a_recomputed_layer_with_another_gradient_is_noticed() -> None:
    policy = tiny_policy().clone()
    policy.decoder().layers[1].mlp.act_fn = _Forgetful()
    with pytest.raises(ModelError, match="another gradient when its layers are recomputed"):
        packed.check_packed(policy)


def test_a_layer_that_looks_behind_it_has_another_gradient_when_it_is_packed() -> None:
    policy = tiny_policy().clone()

    class Leaky(torch.nn.Module):
        """Its values are those of each token, its gradient goes to the one before it in the row too."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            before = x.roll(1, 1)
            return torch.nn.functional.silu(x) + 0.1 * (before - before.detach())

    policy.decoder().layers[1].mlp.act_fn = Leaky()
    with pytest.raises(ModelError, match="another gradient when several sequences stand in one row"):
        packed.check_packed(policy)


def test_a_row_that_reads_anothers_keys_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = RaggedCache.update
    monkeypatch.setattr(RaggedCache, "update", lambda *args, **kw: [kv.flip(0) for kv in usual(*args, **kw)])
    with pytest.raises(ModelError, match="rows of different lengths are decoded together"):
        probe.check_decoding(tiny_policy())


def test_a_branch_that_loses_its_own_keys_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = BranchCache.update
    monkeypatch.setattr(BranchCache, "update", lambda *args, **kw: [kv[:, :, -1:] for kv in usual(*args, **kw)])
    with pytest.raises(ModelError, match="branches are decoded from one common beginning"):
        probe.check_decoding(tiny_policy())


class TestPositions:
    def test_a_table_of_positions_ends_where_it_does(self) -> None:
        model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64, n_positions=40))
        assert max_positions(model) == 40

    def test_rotary_positions_have_no_end(self) -> None:
        assert max_positions(tiny_policy().model) is None

    @pytest.mark.parametrize(
        "rotary",
        [
            {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
            {
                "rope_type": "longrope",
                "rope_theta": 1e4,
                "short_factor": [1.0] * 8,
                "long_factor": [4.0] * 8,
                "original_max_position_embeddings": 40,
            },
        ],
    )
    def test_those_that_long_sequences_stretch_end_before_they_are(self, rotary: dict[str, Any]) -> None:
        config = LlamaConfig(**LLAMA_LIKE, max_position_embeddings=40, rope_parameters=rotary)
        model = LlamaForCausalLM(config).eval()
        assert max_positions(model) == 40
        ids = torch.arange(45)[None]
        with torch.no_grad():
            short, long = (model(input_ids=ids[:, :n]).logits[0, :30] for n in (40, 45))
            shorter = model(input_ids=ids[:, :30]).logits[0]
        torch.testing.assert_close(shorter, short)
        assert not torch.allclose(short, long, atol=1e-5)


class TestFolders:
    """What a folder may hold that opens and is not what it should be."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        tiny_policy().save(tmp_path)
        return tmp_path

    def refusal(self, folder: Path) -> str:
        with pytest.raises(ModelError) as caught:
            load_policy(str(folder))
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def edit(self, folder: Path, name: str, **changes: Any) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **changes}))

    def test_an_adapter(self, folder: Path) -> None:
        (folder / "adapter_config.json").write_text("{}")
        assert "holds an adapter, not a model" in self.refusal(folder)

    def test_quantised_weights(self, folder: Path) -> None:
        self.edit(folder, "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
        assert "quantised" in self.refusal(folder)

    def test_a_model_of_several_parts(self, folder: Path) -> None:
        Gemma3Config().save_pretrained(folder)
        assert "gemma3 is a model of several parts (text_config, vision_config)" in self.refusal(folder)

    @pytest.mark.parametrize("wrong", [{"hidden_size": "64"}, {"num_attention_heads": None}, {"rope_parameters": 3}])
    def test_a_config_of_wrong_types(self, folder: Path, wrong: dict[str, Any]) -> None:
        self.edit(folder, "config.json", **wrong)
        assert "holds no model that transformers can open" in self.refusal(folder)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_no_numbers(self, folder: Path, value: float) -> None:
        weights = load_file(folder / "model.safetensors")
        weights["model.embed_tokens.weight"][1000, 3] = value  # of a token that no probe has
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        assert "model.embed_tokens.weight hold NaN or infinity" in self.refusal(folder)

    def test_more_tokens_than_rows(self, folder: Path) -> None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.add_tokens(["<one-more>"])
        tokenizer.save(str(folder / "tokenizer.json"))
        assert "its tokenizer has 1025 tokens, its embedding 1024 rows" in self.refusal(folder)

    def test_a_saved_truncation_padding_and_dropout_are_switched_off(self, folder: Path) -> None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(4)
        tokenizer.enable_padding(length=64, pad_token="<|endoftext|>")  # noqa: S106
        tokenizer.model.dropout = 0.5
        tokenizer.save(str(folder / "tokenizer.json"))
        policy = load_policy(str(folder))
        assert policy.encode(SOURCES[0]) == policy.encode(SOURCES[0]) == tiny_policy().encode(SOURCES[0])
