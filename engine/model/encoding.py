"""Traces in tokens: each line, latent and prompt tokenised by itself, and how far that is from tokenising the whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.corpora.traces import IndentMode, Trace, latent_prefix
from engine.model.policy import Policy


@dataclass(frozen=True, slots=True)
class EncodedTrace:
    """A trace in tokens, each chunk tokenised by itself."""

    prompt: list[int]
    """The document separator and the prompt."""
    lines: list[list[int]]
    gates: list[list[int] | None]
    """For each line the tokens of its latent prefix; None where a latent may not start."""


def encode_trace(policy: Policy, trace: Trace, indent_mode: IndentMode) -> EncodedTrace:
    """Tokenise a trace.

    The first line of a trace without a prompt gets a newline before it, which leaves the program as it is and makes it
    an action like all others.

    Raises:
        ValueError: the trace has no prompt and the tokenizer no document separator: nothing to condition on.
    """
    prompt = [*policy.bos, *policy.encode(trace.prompt)]
    if not prompt:
        raise ValueError(f"trace {trace.id} has no prompt, and the tokenizer of {policy.name} no document separator")
    return EncodedTrace(
        prompt,
        [policy.encode(_led(line.text)) for line in trace.lines],
        [policy.encode(_led(latent_prefix(line, indent_mode))) if line.may_think else None for line in trace.lines],
    )


def _led(text: str) -> str:
    return text if text.startswith("\n") else "\n" + text


def chunk_mismatches(policy: Policy, trace: Trace) -> int:
    """How many of a bare trace's chunk-wise tokens are not tokens of its text as a whole.

    0 where the tokenizer cuts before every newline, as those of code models do.
    """
    chunks = [trace.prompt, *(line.text for line in trace.lines)]
    whole = set(_token_spans(policy, policy.encode("".join(chunks))))
    chunkwise = _token_spans(policy, [token for chunk in chunks for token in policy.encode(chunk)])
    return sum(span not in whole for span in chunkwise)


def _token_spans(policy: Policy, ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Begin of each token, in characters of single tokens, and the token."""
    at = 0
    for token in ids:
        yield at, token
        at += len(policy.token_texts[token])
