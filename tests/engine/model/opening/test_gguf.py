"""A `.gguf` file opens as the model and the tokenizer that were written into it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM

from engine.model.opening.loading import convert_gguf
from engine.model.policy import Policy, load_policy
from tests.engine.tiny import SOURCES, prompts, tiny_policy

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny policy as llama.cpp's converter writes it."""
    policy = tiny_policy()
    target = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(target, "llama")
    _write_sizes(writer, policy.model.config)
    _write_tokenizer(writer, policy)
    _write_weights(writer, policy.model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _write_sizes(writer: GGUFWriter, config: Any) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _write_tokenizer(writer: GGUFWriter, policy: Policy) -> None:
    tokenizer = policy.tokenizer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(policy.vocab_size)))
    writer.add_token_types([3 if i in policy.eos else 1 for i in range(policy.vocab_size)])
    writer.add_token_merges(_merges(policy))
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)


def _merges(policy: Policy) -> list[str]:
    model = json.loads(policy.tokenizer.backend_tokenizer.to_str())["model"]
    return [" ".join(pair) for pair in model["merges"]]


def _write_weights(writer: GGUFWriter, model: Any) -> None:
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    for layer in range(model.config.num_hidden_layers):
        for ours, theirs in LAYER_NAMES.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            writer.add_tensor(f"blk.{layer}.{ours}.weight", _interleaved(weight, heads.get(ours)))


def _interleaved(weight: np.ndarray[Any, Any], heads: int | None) -> np.ndarray[Any, Any]:
    """llama.cpp rotates neighbouring pairs, transformers the two halves of a head."""
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def test_its_weights_and_tokens_are_those_written(path: Path) -> None:
    policy, written = load_policy(str(path)), tiny_policy()
    assert policy.fingerprint() == written.fingerprint()
    assert (policy.bos, policy.eos) == (written.bos, written.eos)
    for text in (*SOURCES, "x = [1,  23]\n    45, 'a'\n\n\n        # 6"):
        assert policy.encode(text) == written.encode(text)


def test_it_can_be_saved_and_opened_as_a_plain_folder(path: Path, tmp_path: Path) -> None:
    load_policy(str(path)).save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([prompts()[3]])
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, tiny_policy().model(ids).logits)


def test_conversion_writes_the_same_policy(path: Path, tmp_path: Path) -> None:
    convert_gguf(path, tmp_path)
    assert load_policy(str(tmp_path)).fingerprint() == tiny_policy().fingerprint()


def test_loading_prints_nothing(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_policy(str(path))
    assert capfd.readouterr() == ("", "")
