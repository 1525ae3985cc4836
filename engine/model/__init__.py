"""A causal language model: loading, tokenizer boundaries, policy, adapters, packed tries to log-probabilities."""
