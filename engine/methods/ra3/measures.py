"""What to measure of annotated traces, and how they are written down (algorithm: what theory says to measure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from engine.corpora.traces import Annotated
from engine.decoding.latents import Gate
from engine.methods.ra3.rewards import Floats, Group
from engine.recipe.sections import Ra3
from engine.store.writer import Writer


def measure(groups: Sequence[Group], settings: Ra3, prefix: str = "estep") -> dict[str, float]:
    """Metrics of rollouts, such as those of one E-step update; ``gain`` is what latents add to the lines behind them.

    Log-likelihoods are in nats (a token, for ``line_logp = mean``), means over lines.
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    gates = [gate for rollout in rollouts for gate in rollout.gates if gate is not None]
    likelihood = np.concatenate([group.line_logprobs.ravel() for group in groups])
    charges = np.concatenate([group.charges.ravel() for group in groups])
    gains = np.concatenate([(group.line_logprobs - group.bare_logprobs)[group.think] for group in groups])
    lengths = [len(comment) for rollout in rollouts for comment in rollout.comments if comment is not None]
    return {
        f"{prefix}/reward": float(np.mean(likelihood - charges)),
        f"{prefix}/likelihood": float(likelihood.mean()),
        f"{prefix}/penalty": float(charges.mean()),
        f"{prefix}/bound": float(np.mean([group.rewards.sum(1).mean() for group in groups])),
        f"{prefix}/bare": float(np.mean([group.bare_logprobs.sum() for group in groups])),
        f"{prefix}/think_rate": float(np.mean([gate.think for gate in gates])),
        f"{prefix}/gate_entropy": float(np.mean([_entropy(gate) for gate in gates])),
        f"{prefix}/p_think": float(np.mean(np.exp([gate.logprob_think for gate in gates]))),
        **_if_any(f"{prefix}/gain", gains),
        **_if_any(f"{prefix}/latent_tokens", lengths),
        **_segments(groups, settings.gamma, prefix),
    }


def _if_any(key: str, values: Sequence[float] | Floats) -> dict[str, float]:
    """A mean where there is something to take it of: a latent may not have been drawn."""
    return {key: float(np.mean(values))} if len(values) else {}


def _entropy(gate: Gate) -> float:
    """Entropy of the gate, in nats."""
    p = min(max(float(np.exp(gate.logprob_think)), 1e-12), 1 - 1e-12)
    return float(-p * np.log(p) - (1 - p) * np.log1p(-p))


def _segments(groups: Sequence[Group], gamma: float, prefix: str) -> dict[str, float]:
    """Segments a trace, mean duration in lines, and the effective discount E[gamma^duration]."""
    durations: list[int] = []
    traces = 0
    for group in groups:
        for think in group.think:
            starts = sorted({0, *np.flatnonzero(think).tolist()})
            durations += np.diff([*starts, len(think)]).tolist()
            traces += 1
    return {
        f"{prefix}/segments": len(durations) / traces,
        f"{prefix}/duration": float(np.mean(durations)),
        f"{prefix}/gamma_bar": float(np.mean(gamma ** np.array(durations))),
    }


def record(
    writer: Writer,
    groups: Sequence[Group],
    settings: Ra3,
    decode: Callable[[Sequence[int]], str],
    round_: int,
    phase: str,
) -> None:
    """Write annotated traces to the store, line by line, as drawn for the coming update."""
    for group in groups:
        for g, rollout in enumerate(group.rollouts):
            latents = tuple(None if ids is None else decode(ids) for ids in rollout.comments)
            text = Annotated(
                group.trace, latents, mode=settings.latent_indent, trailing=group.encoded.boundary.trailing
            ).text
            rewards = group.rewards[g]
            row = {
                "step": writer.step + 1,
                "phase": phase,
                "round": round_,
                "trace": group.trace.id,
                "source": group.trace.source,
                "rollout": g,
                "prompt": group.trace.prompt,
                "text": text,
                "lines": len(group.trace.lines),
                "latents": sum(latent is not None for latent in latents),
                "bound": float(rewards.sum()),
                "bare": float(group.bare_logprobs.sum()),
            }
            writer.trace(row, list(_line_rows(group, g, latents)))


def _line_rows(group: Group, g: int, latents: Sequence[str | None]) -> Iterator[dict[str, object]]:
    advantages = group.advantages
    for t, line in enumerate(group.trace.lines):
        gate = group.rollouts[g].gates[t]
        yield {
            "text": line.text,
            "latent": latents[t],
            "tokens": len(group.encoded.lines[t]),
            "logprob": float(group.line_logprobs[g, t]),
            "bare_logprob": float(group.bare_logprobs[t]),
            "p_think": None if gate is None else float(np.exp(gate.logprob_think)),
            "reward": float(group.rewards[g, t]),
            "advantage": float(advantages[g, t]),
        }
