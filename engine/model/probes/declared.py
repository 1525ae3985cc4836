"""What a few tokens passed through a model cannot show: limits, kinds of layers, tokens and weights out of bounds."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from engine.model.opening.loading import ModelError
from engine.model.policy import Policy
from engine.model.probes.plain import attempted

LENGTHS = ("max_position_embeddings", "max_target_positions", "max_seq_len")
"""What configs call the number of positions they were made for."""
STRETCHED = ("dynamic", "longrope")
"""Kinds of rotary positions whose frequencies depend on the longest sequence of a pass."""


def check_sizes(policy: Policy) -> None:
    """Refuse a config that does not say how large the layers are, or says it for each by itself.

    Raises:
        ModelError: what is missing.
    """
    config = policy.model.config
    what = "does not say how large all its layers are"
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
        attempted(policy, what, partial(getattr, config, name))
    attempted(policy, what, partial(getattr, config, "head_dim", None))


def check_layers(policy: Policy) -> None:
    """Refuse a model with layers that do not attend to all that came before: masks and caches here say they do.

    Raises:
        ModelError: a layer has a window, or a state in place of keys.
    """
    config = policy.model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    limited = window is not None and not hasattr(config, "layer_types")
    if kinds != {"full_attention"} or limited:
        raise ModelError(
            f"{policy.name}: not all its layers attend to all earlier tokens ({', '.join(sorted(kinds))}, "
            f"window {window}), which is not supported; choose a model with full attention"
        )


def check_tokens(policy: Policy) -> None:
    """Refuse a tokenizer with tokens that the model has no embedding or no logit for.

    Raises:
        ModelError: there are such, or what ends a completion is not said as token ids.
    """
    attempted(policy, "has no token ids for the end of a text", lambda: policy.eos)
    highest = max(policy.tokenizer.get_vocab().values())
    what = "has no embedding and no head with a row a token"
    embedding = attempted(policy, what, lambda: int(policy.model.get_input_embeddings().weight.shape[0]))
    rows = min(embedding, attempted(policy, what, lambda: policy.vocab_size))
    if highest >= rows:
        raise ModelError(
            f"{policy.name}: its tokenizer has {highest + 1} tokens, its embedding {rows} rows; "
            "use the tokenizer it was trained with, or resize its embeddings"
        )


def check_weights(policy: Policy) -> None:
    """Refuse weights that are no numbers: one would spoil every prediction, sooner or later.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    for name, weight in policy.model.named_parameters():
        if weight.numel() and not torch.stack(weight.detach().aminmax()).isfinite().all():
            raise ModelError(f"{policy.name}: its weights {name} hold NaN or infinity; fetch or convert it again")


def max_positions(model: Any) -> int | None:
    """How many tokens of a sequence have predictions that depend on nothing but themselves; None for any number.

    Positions end where a table of them does. Rotary ones that are stretched in a pass that holds a long sequence would
    change for short ones beside it, and for tokens whose keys are cached.

    Args:
        model: on the CPU, where what lies behind a table is an error that can be caught.
    """
    config = model.config
    longest: int | None = next((n for name in LENGTHS if (n := getattr(config, name, None))), None)
    rotary = _rotary(config)
    if rotary.get("rope_type") in STRETCHED:
        original: int | None = rotary.get("original_max_position_embeddings")
        return original or longest
    return longest if longest is not None and _ends(model, longest) else None


def _rotary(config: Any) -> dict[str, Any]:
    """The config's settings of rotary positions, of the first kind of layers that is stretched if they have several."""
    settings = getattr(config, "rope_parameters", None) or {}
    kinds = [kind for kind in settings.values() if isinstance(kind, dict)]
    return next((kind for kind in kinds if kind.get("rope_type") in STRETCHED), settings)


@torch.inference_mode()
def _ends(model: Any, position: int) -> bool:
    """Is there no such position?"""
    try:
        model.get_decoder()(input_ids=torch.zeros(1, 1, dtype=torch.long), position_ids=torch.tensor([[position]]))
    except (IndexError, RuntimeError):
        return True
    except (TypeError, ValueError):  # it takes no positions: told by the probes of passes
        return False
    return False
