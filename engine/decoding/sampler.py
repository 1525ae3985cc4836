"""Sampling from a policy: free completions, and the mixed decoding of the E-step.

Each sequence draws from its own generator, seeded by its own seed, so what it draws depends on seed and prompt, never
on its neighbours or on the batch size (beyond the rounding of the matrix products).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.decoding.decoder import Decoder, Row, Turn
from engine.decoding.drawing import EVERYTHING, Truncation, draw
from engine.model.policy import Policy


class StopReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """A stop sequence came."""
    EOS = "eos"
    """The model ended the document."""
    LENGTH = "length"
    """The token limit was reached."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a policy wrote behind a prompt."""

    ids: list[int]
    """Every token drawn, with the one that ended it."""
    text: str
    """Cut before the stop sequence or the end of the document."""
    logprobs: list[float]
    """One a token, in nats, under the model at temperature 1."""
    behaviour_logprobs: list[float]
    """One a token, in nats, under what it was drawn from: the sampling's temperature and truncation."""
    stop: StopReason
    n_forward: int
    """Forward passes it took part in."""


def generate(  # noqa: PLR0913 - the knobs of sampling
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    truncation: Truncation = EVERYTHING,
    stop: Sequence[str] | Sequence[Sequence[str]] = (),
    led_by: str = "",
    gate_bias: float = 0.0,
    batch_size: int = 32,
    on_done: Callable[[int, Completion], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Completion]:
    """Complete prompts.

    Args:
        policy: who writes.
        prompts: token ids of each, the document separator included; none may be empty.
        seeds: one a prompt.
        max_new_tokens: limit of each completion.
        temperature: 0 is greedy.
        truncation: which tokens may be drawn.
        stop: texts that end a completion, for all prompts or one sequence of them a prompt.
        led_by: the end of every prompt that a stop sequence may begin with.
        gate_bias: nats added to the logits of what opens a comment where a line starts, unless behind another comment.
        batch_size: sequences decoded side by side.
        on_done: called with a prompt's index and its completion, in the order they end.
        should_stop: asked before each step; once true, what has ended by then is returned.

    Raises:
        ValueError: a prompt is empty.
    """
    if empty := [index for index, prompt in enumerate(prompts) if not prompt]:
        raise ValueError(f"prompt {empty[0]} is empty: there is nothing to go on from, not even a document separator")
    stops = _stops_by_prompt(stop, len(prompts))
    lift = gate_bias * _comment_openers(policy) if gate_bias else None
    rows = [
        _complete(policy, prompt, seed, max_new_tokens, texts, led_by, lift)
        for prompt, seed, texts in zip(prompts, seeds, stops, strict=True)
    ]
    drawing = partial(draw, temperature=temperature, truncation=truncation)
    return Decoder(policy, rows, drawing, batch_size).run(on_done, should_stop)


def _stops_by_prompt(stop: Sequence[str] | Sequence[Sequence[str]], n_prompts: int) -> list[list[str]]:
    shared = [text for text in stop if isinstance(text, str)]
    return [shared] * n_prompts if len(shared) == len(stop) else [list(texts) for texts in stop]


def _complete(
    policy: Policy,
    prompt: Sequence[int],
    seed: int,
    max_new_tokens: int,
    stops: Sequence[str],
    led_by: str,
    lift: Tensor | None,
) -> Row[Completion]:
    """One completion, as a row of the decoder; ``lift`` holds where a comment may be opened."""
    random = np.random.default_rng(seed)
    feed, ids, logprobs, behaviour = list(prompt), list[int](), list[float](), list[float]()
    # A stop sequence that the newest token completes began within as many tokens as it has bytes.
    window = max((len(text.encode()) for text in stops), default=0)
    reason = StopReason.LENGTH
    while len(ids) < max_new_tokens:
        opens = lift is not None and may_open_comment(led_by + policy.decode(ids))
        drawn = yield Turn(feed, uniform=random.random(), lift=lift if opens else None)
        feed = [drawn.token]
        ids.append(drawn.token)
        logprobs.append(drawn.logprob)
        behaviour.append(drawn.behaviour_logprob)
        if drawn.token in policy.eos:
            reason = StopReason.EOS
            break
        if (
            window
            and _first_stop((led_by if len(ids) <= window else "") + policy.decode(ids[-window:]), stops) is not None
        ):
            reason = StopReason.STOP
            break
    text = led_by + policy.decode(ids[:-1] if reason is StopReason.EOS else ids)
    return Completion(ids, text[: _first_stop(text, stops)].removeprefix(led_by), logprobs, behaviour, reason, len(ids))


def may_open_comment(text: str) -> bool:
    """Does a line start at the end of ``text``, perhaps indented, that is behind no comment?"""
    before, newline, line = text.rpartition("\n")
    return bool(newline) and not line.strip() and not before.rpartition("\n")[2].lstrip().startswith("#")


def _comment_openers(policy: Policy) -> Tensor:
    """[V], 1 for tokens that open a comment at a line's start."""
    opening = [text.lstrip(" \t").startswith("#") for text in policy.token_texts]
    return torch.tensor(opening, dtype=torch.float32, device=policy.device)


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop sequence begins."""
    return min((at for at in map(text.find, stops) if at >= 0), default=None)
