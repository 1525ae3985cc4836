"""Every causal architecture of the installed transformers, tiny and random: right, refused, or not to be built here.

Each is saved as a folder, opened as a run opens its model, and, where it is accepted, held against slow versions of the
same by the model alone: log-probabilities of tries, greedy completions, and the gradient when layers are recomputed.
``python bench/models.py`` prints one line a model and writes ``docs/models.md``; ``python bench/models.py llama gpt2``
prints these alone.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from engine.decoding.probe import check_decoding
from engine.decoding.sampler import generate
from engine.errors import UsageFault
from engine.model.logprobs import logprobs
from engine.model.opening.random_model import random_tiny
from engine.model.passes import training
from engine.model.policy import ModelError, Policy, load_policy
from engine.model.recomputing import enable_recomputing
from engine.model.tries import TrieBuilder, collate
from engine.recipe.files import load_recipe
from engine.runs.estimate.needs import tell
from engine.runs.stages.costs import Meter

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
SECONDS = 90
"""A model that takes longer is given up."""
PARAMETERS = 30_000_000
"""One that has more after all that was made smaller is not built."""
GAIN = 5.0
"""What matrices are multiplied with: predictions of fresh ones are all but uniform, and nearly blind to what is far."""
TINY: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embedding_size", "word_embed_proj_dim", "dim"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size", "dff"), 96),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "moe_intermediate_size", "mlp_hidden_size"), 96),
    **dict.fromkeys(("shared_expert_intermediate_size", "shared_intermediate_size", "expert_ffn_hidden_size"), 96),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "num_encoder_attention_heads"), 2),
    **dict.fromkeys(("head_dim", "v_head_dim", "kv_channels", "attention_head_dim", "d_kv"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "rotary_dim", "index_head_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "index_n_heads"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "ffn_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_top_k", "moe_k", "num_experts_per_token", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group", "first_k_dense_replace", "n_shared_experts"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length"), 256),
    **dict.fromkeys(("max_source_positions", "max_target_positions", "original_max_position_embeddings"), 256),
    **dict.fromkeys(("state_size", "mamba_d_state", "ssm_state_size", "mamba_n_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("attention_hidden_size", "lru_width"), 64),
    **dict.fromkeys(("is_decoder", "use_cache"), True),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    **dict.fromkeys(("is_encoder_decoder", "use_mamba_kernels", "use_sliding_window"), False),
}
"""Sizes by the names that configs give them."""
FULL: dict[str, Any] = {"layer_types": ["full_attention"] * 2}
"""What makes every layer attend to all earlier tokens, in configs that name the kinds of layers."""
WINDOWS: dict[str, Any] = {"sliding_window": None}
"""The same in those that do not."""
OF_TYPE: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "deepseek_v2": {"n_routed_experts": 4, "num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 1024},
    "gemma4_text": {"vocab_size_per_layer_input": 1024, "hidden_size_per_layer_input": 8},
    "gpt_neo": {"attention_types": [[["global"], 2]]},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "inkling2_loop_text": {"unpadded_vocab_size": 1000},
    "inkling2_text": {"unpadded_vocab_size": 1000},
    "inkling_text": {"unpadded_vocab_size": 1000},
}
"""What single configs need besides."""
TEXTS = ("def f(x):\n    return x + 1\n", "def f(x):\n    # twice\n    return 2 * x\n", "import os\n\n\nprint(os)\n")


class Row(NamedTuple):
    """A model of the table."""

    kind: str
    variant: str
    outcome: str
    reason: str


class Unbuilt(Exception):
    """A model cannot be built here; says why."""


def tiny_config(kind: str, vocab_size: int, full: bool) -> Any:
    """A small config of a model type; ``full`` for attention to all earlier tokens."""
    config_class = CONFIG_MAPPING[kind]
    known = config_class().to_dict()
    names = {*known, *config_class.attribute_map}
    sizes = {name: value for name, value in TINY.items() if name in names and known.get(name, value) is not None}
    if "qk_rope_head_dim" in known:  # latent attention: a head's rotary part goes by both names, and heads share none
        sizes |= {"head_dim": TINY["qk_rope_head_dim"], "num_key_value_heads": TINY["num_attention_heads"]}
    unlimited = (FULL if "layer_types" in known else WINDOWS) if full else {}
    return config_class(**sizes, vocab_size=vocab_size, **OF_TYPE.get(kind, {}), **unlimited)


def build(config: Any, folder: Path, tokenizer: Any) -> None:
    """Write a random model of ``config`` and its tokenizer to ``folder``."""
    tokenizer.save_pretrained(folder)
    if config.get_text_config() is not config:  # told by the config alone
        config.save_pretrained(folder)
        return
    with torch.device("meta"):
        count = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    if count > PARAMETERS:
        raise Unbuilt(f"{count / 1e6:.0f} million parameters with all that is made smaller here")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(GAIN)
    model.eval()(input_ids=torch.tensor([[3, 4, 5]]))
    model.save_pretrained(folder)


def differences(policy: Policy) -> Iterator[str]:
    """What an accepted model does otherwise than by itself."""
    sequences = [[*policy.bos, *policy.encode(text)] for text in TEXTS]
    theirs, gradient = plain(policy, sequences)
    for recompute in (False, True):
        try:
            ours, ours_gradient = packed(policy, sequences, recompute=recompute)
        except UsageFault:  # said when it is asked for
            continue
        if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3):
            yield f"log-probabilities differ by {float((ours - theirs).abs().max()):.2g} nats"
        if not (off := float((ours_gradient - gradient).norm() / gradient.norm())) < 1e-3:
            yield f"gradient differs by {off:.1%}{', recomputed' if recompute else ''}"
    if completed(policy, sequences) != [greedy(policy, ids) for ids in sequences]:
        yield "greedy completions differ"


def plain(policy: Policy, sequences: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the tokens of ``sequences`` by the model alone, and the gradient of their sum."""
    policy.model.zero_grad()
    parts = []
    for ids in sequences:
        logits = policy.model(input_ids=torch.tensor([ids])).logits[0, :-1]
        parts.append(logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0])
    values = torch.cat(parts)
    values.sum().backward()  # type: ignore[no-untyped-call]
    return values.detach(), taken_gradient(policy)


def packed(policy: Policy, sequences: Sequence[list[int]], *, recompute: bool) -> tuple[Tensor, Tensor]:
    """The same from one row of tries, the first two sequences branches of one."""
    if recompute:
        enable_recomputing(policy.model)
    policy.model.zero_grad()
    tries = []
    for part in (sequences[:2], sequences[2:]):
        trie = TrieBuilder()
        for ids in part:
            events, _ = trie.chain(ids[1:], trie.add(ids[:1])[0])
            trie.ask(events, "code")
        tries.append(trie.build())
    with training(policy.model, recompute=recompute):
        values = logprobs(policy, collate([tries]))
        values.sum().backward()  # type: ignore[no-untyped-call]
    return values.detach(), taken_gradient(policy)


def taken_gradient(policy: Policy) -> Tensor:
    """The gradient of all weights, end to end."""
    return torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in policy.model.parameters()])


def completed(policy: Policy, prompts: Sequence[list[int]]) -> list[list[int]]:
    """Greedy completions of the engine."""
    seeds = range(len(prompts))
    return [c.ids for c in generate(policy, prompts, seeds, max_new_tokens=12, temperature=0, batch_size=2)]


@torch.no_grad()
def greedy(policy: Policy, prompt: list[int]) -> list[int]:
    """The same by the model, which computes the whole text again for each token."""
    ids = list(prompt)
    for _ in range(12):
        ids.append(int(policy.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in policy.eos:
            break
    return ids[len(prompt) :]


def judged(kind: str, folder: Path, tokenizer: Any, full: bool) -> tuple[str, str]:
    """How one model fares, and why."""
    try:
        build(tiny_config(kind, len(tokenizer), full), folder, tokenizer)
    except Exception as error:  # whatever a config or a model says of sizes it cannot have
        words = (str(error).strip().splitlines() or [""])[0]
        return "not built", f"{type(error).__name__}: {words}" if not isinstance(error, Unbuilt) else words
    try:
        policy = load_policy(str(folder))
        check_decoding(policy)
    except ModelError as error:
        return "refused", str(error).replace(f"{folder}: ", "").replace(str(folder), "FOLDER")
    except Exception as error:  # a fault of ours: what is refused is refused in one line
        traceback.print_exc()
        return "wrong", f"{type(error).__name__}: {error}"
    try:
        wrong = list(differences(policy))
        tell(policy.model.config, load_recipe("smoke", []).for_arm("ra3"), policy.device)
        Meter(policy)
    except Exception as error:
        traceback.print_exc()
        return "wrong", f"{type(error).__name__}: {error}"
    ends = f"; sequences of up to {policy.max_positions} tokens" if policy.max_positions else ""
    return ("wrong", "; ".join(wrong)) if wrong else ("right", ends.removeprefix("; "))


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError inside after so many seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"over {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def rows_of(kind: str, tokenizer: Any) -> Iterator[Row]:
    """The model as its config is, and with attention to all earlier tokens where that is what it lacks."""
    for variant, full in (("", False), ("full attention", True)):
        with tempfile.TemporaryDirectory() as folder, limited(SECONDS):
            outcome, reason = judged(kind, Path(folder), tokenizer, full)
        yield Row(kind, variant, outcome, reason)
        if "attend to all earlier" not in reason:
            break


def written(rows: Sequence[Row]) -> str:
    """The page of the table."""
    counts = {
        outcome: sum(row.outcome == outcome for row in rows) for outcome in ("right", "refused", "not built", "wrong")
    }
    lines = [
        "# Models",
        "",
        f"Every causal architecture of transformers {transformers.__version__}, made tiny with random weights by "
        "`just models`, which writes this page. A model is **right** where log-probabilities and gradients of packed "
        "tries, and greedy completions, are those of the model by itself; **refused** where it ends in this one line, "
        "with exit code 3, before anything is trained; **not built** where no tiny one could be made here.",
        "",
        ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) + ".",
        "",
        "| model type | variant | | why |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{r.kind}` | {r.variant} | {r.outcome} | {r.reason.replace('|', chr(92) + '|')} |" for r in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge the models that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help="model types; all by default")
    kinds = parser.parse_args().kinds
    _, tokenizer = random_tiny()
    rows = []
    for kind in kinds or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        for row in rows_of(kind, tokenizer):
            print(*row, sep=" | ", flush=True)  # noqa: T201
            rows.append(row)
    if not kinds:
        PAGE.write_text(written(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
