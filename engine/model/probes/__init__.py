"""What is asked of a model when it is opened, before anything is trained: right numbers, or one line that says why not.

Rows that are decoded side by side are probed by `engine.decoding.probe`.
"""

from engine.model.policy import Policy
from engine.model.probes.attention import check_attention
from engine.model.probes.declared import check_layers, check_sizes, check_tokens, check_weights, max_positions
from engine.model.probes.heads import check_head
from engine.model.probes.packed import check_packed

__all__ = ["check_model", "max_positions"]


def check_model(policy: Policy) -> None:
    """Refuse a model whose passes here would not give its own numbers.

    Raises:
        ModelError: what it does that is not supported, in one line.
    """
    check_sizes(policy)
    check_layers(policy)
    check_tokens(policy)
    check_weights(policy)
    check_packed(policy)
    check_head(policy)
    check_attention(policy)
