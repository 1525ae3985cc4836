"""Are a model's logits one matrix product of its last hidden states, however large these are?"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.model.policy import Policy
from engine.model.probes.plain import SHARED, attempted, check_same, plain_hidden, probe_sequences

LARGE = 100.0
"""The largest logit of the probe: a soft cap, at 15 to 50 in use, shows whatever the weights are."""


@torch.inference_mode()
def check_head(policy: Policy) -> None:
    """Compare `Policy.logits` with the model's own, hidden states being made larger for both.

    Raises:
        ModelError: the head does more (soft caps, scales).
    """
    what = "has an output head that is more than one matrix"
    ids = probe_sequences(policy)[0][:SHARED]
    ours, theirs = attempted(policy, what, lambda: _enlarged(policy, ids))
    check_same(policy, what, ours, theirs)


def _enlarged(policy: Policy, ids: list[int]) -> tuple[Tensor, Tensor]:
    """Logits [n, V] by us, and by the model."""
    hidden, _ = plain_hidden(policy, ids)
    scale = LARGE / float(policy.logits(hidden).abs().max())
    hidden, theirs = plain_hidden(policy, ids, scale)
    return policy.logits(hidden), theirs
