"""Does a model attend by whatever function transformers is told to, and by nothing that this function is not given?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, DynamicCache

from engine.model.attending import attend
from engine.model.opening.loading import ModelError
from engine.model.policy import Policy
from engine.model.probes.plain import attempted, check_same, plain_hidden, probe_sequences

ATTENTION = "ra3_probe"
WITHOUT_EFFECT = frozenset({"dropout", "is_causal", "position_ids", "use_cache", "cache_position", "output_attentions"})
"""What layers hand to their attention that changes nothing in a causal pass without dropout."""


def probe_attention(
    module: torch.nn.Module,  # noqa: ARG001
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float | None = None,
    *,
    given: set[str],
    **known: Any,
) -> tuple[Tensor, None]:
    """Causal attention of one sequence; notes in ``given`` the names of what else its layers gave it."""
    given |= {name for name, value in known.items() if value is not None} - WITHOUT_EFFECT
    given.add(ATTENTION)
    out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
    return out.transpose(1, 2), None


AttentionInterface.register(ATTENTION, probe_attention)


@torch.inference_mode()
def check_attention(policy: Policy) -> None:
    """Replace the model's attention by a plain one, as decoding does by its own.

    Raises:
        ModelError: the model does not take it, or needs more of it than queries, keys, values and a scale: soft caps,
            sinks, windows.
    """
    ids, given = probe_sequences(policy)[0], set[str]()
    tokens = torch.tensor(ids, device=policy.device)
    positions = torch.arange(len(ids), device=policy.device)
    what = "has attention that cannot be replaced"
    hidden = attempted(policy, what, lambda: attend(policy, ATTENTION, tokens, positions, DynamicCache(), given=given))
    if extra := given - {ATTENTION}:
        raise ModelError(
            f"{policy.name}: {type(policy.model).__name__} has attention that depends on {', '.join(sorted(extra))}, "
            "which is not supported; choose another model"
        )
    if not given:
        raise ModelError(f"{policy.name}: {type(policy.model).__name__} {what}; choose another model")
    check_same(policy, what, hidden, plain_hidden(policy, ids)[0])
