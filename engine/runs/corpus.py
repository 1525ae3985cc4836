"""The traces of a run: its corpus, encoded for its policy, and what of it is held out."""

from __future__ import annotations

from engine.corpora.sources import corpus_of
from engine.corpora.traces import Trace
from engine.errors import UsageFault
from engine.model.encoding import EncodedTrace, encode_trace
from engine.model.policy import Policy
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Corpus

TracePairs = list[tuple[Trace, EncodedTrace]]
"""Traces, each as text and as the policy's tokens."""


def read_traces(policy: Policy, recipe: Recipe) -> tuple[TracePairs, list[str]]:
    """The corpus, encoded for a policy, and notes on what was left out.

    Raises:
        UsageFault: the corpus holds nothing that can be used.
    """
    corpus, loaded = recipe.corpus, corpus_of(recipe)
    pairs = [(trace, encode_trace(policy, trace, recipe.ra3.latent_indent)) for trace in loaded.traces]
    fitting = [(trace, encoded) for trace, encoded in pairs if length(encoded) <= corpus.max_tokens]
    for trace, encoded in pairs:
        if length(encoded) > corpus.max_tokens:
            loaded.skip(f"over {corpus.max_tokens} tokens", trace.source or trace.id)
    return fitting, [f"{len(fitting)} traces from {corpus.path or corpus.kind}", f"left out: {loaded.account()}"]


def hold_out(pairs: TracePairs, corpus: Corpus) -> tuple[TracePairs, TracePairs]:
    """The traces to train on, and those held out, which are the first of the corpus.

    Raises:
        UsageFault: none are left to train on.
    """
    count = corpus.held_out
    if len(pairs) <= count:
        raise UsageFault(
            f"corpus {corpus.kind}: {len(pairs)} usable traces, of which {count} are held out, "
            "leave none to train on; raise corpus.max_tokens or corpus.max_lines, or lower corpus.held_out"
        )
    return pairs[count:], pairs[:count]


def length(trace: EncodedTrace) -> int:
    """Tokens of a trace, prompt included, without any latents."""
    return len(trace.prompt) + sum(map(len, trace.lines))
