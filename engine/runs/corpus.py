"""The traces of a run: its corpus, encoded for its policy, and what of it is held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.corpora.sources import corpus_of
from engine.corpora.traces import Trace
from engine.errors import UsageFault
from engine.model.encoding import EncodedTrace, encode_trace
from engine.model.policy import Policy
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Corpus, StageKind
from engine.runs.positions import annotated_length

TracePairs = list[tuple[Trace, EncodedTrace]]
"""Traces, each as text and as the policy's tokens."""


def load_traces(
    policy: Policy, recipe: Recipe, stages: Iterable[StageKind], tell: Callable[[str], None]
) -> tuple[TracePairs, TracePairs]:
    """The traces that ``stages`` train on, and those held out; none where they need none.

    ``tell`` gets the notes on what was left out.

    Raises:
        UsageFault: as `read_traces` and `hold_out`.
    """
    if not {"ntp", "ra3"} & set(stages):
        return [], []
    pairs, notes = read_traces(policy, recipe)
    for note in notes:
        tell(note)
    return hold_out(pairs, recipe.corpus)


def read_traces(policy: Policy, recipe: Recipe) -> tuple[TracePairs, list[str]]:
    """The corpus, encoded for a policy, and notes on what was left out.

    Raises:
        UsageFault: the corpus holds nothing that can be used.
    """
    corpus, loaded = recipe.corpus, corpus_of(recipe)
    pairs = [(trace, encode_trace(policy, trace, recipe.ra3.latent_indent)) for trace in loaded.traces]
    fitting = []
    for trace, encoded in pairs:
        if reason := _too_long(encoded, policy, recipe):
            loaded.skip(reason, trace.source or trace.id)
        else:
            fitting.append((trace, encoded))
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


def _too_long(trace: EncodedTrace, policy: Policy, recipe: Recipe) -> str | None:
    """Why a trace is left out; every arm leaves out the same ones, also those that annotate none."""
    if length(trace) > recipe.corpus.max_tokens:
        return f"over {recipe.corpus.max_tokens} tokens"
    if policy.max_positions and annotated_length(trace, recipe.ra3.max_latent_tokens) > policy.max_positions:
        return f"over the model's {policy.max_positions} positions once annotated"
    return None


def length(trace: EncodedTrace) -> int:
    """Tokens of a trace, prompt included, without any latents."""
    return len(trace.prompt) + sum(map(len, trace.lines))
