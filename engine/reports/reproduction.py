"""The report of a reproduction, from the store alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.reports import claims
from engine.reports.intervals import across
from engine.reports.tables import markdown
from engine.reports.trials import Trial
from engine.store.reader import Reader


def write_report(reader: Reader, trials: Sequence[Trial], file: Path, command: str, machine: str) -> None:
    """Write ``file``, Markdown, and its charts beside it."""
    parts = [_head(trials, command, machine)]
    for number, (model, own) in enumerate(claims.by_model(trials)):
        parts.append(_of_model(reader, model, own, file, number))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _head(trials: Sequence[Trial], command: str, machine: str) -> str:
    seeds = sorted({trial.seed for trial in trials})
    return f"""# RA3 at half a million weights: the paper's claims on katas

Made by `{command}`, seeds {", ".join(map(str, seeds))},
on {machine}.

This page is written from the store alone. Values are means over seeds and problems in percent, square brackets 95%
intervals that take both for chance (bootstrap over seeds and problems); differences are paired: the same seed, problems
and draws. `FLOPs` (in billions), `seconds` and `tokens` are those of training, measuring left out; the recipe is
`ra3 recipe show reproduce`."""


def _of_model(reader: Reader, model: str, trials: Sequence[Trial], file: Path, number: int) -> str:
    k = trials[0].evaluations["base", "base"].most
    ntp, ra3 = claims.code_losses(reader, trials)
    losses = file.with_name(f"{file.stem}-losses-{number}.svg")
    file.parent.mkdir(parents=True, exist_ok=True)
    claims.draw_losses(reader, trials, losses)
    above = [claims.gain(trials, *pair, at).is_above_zero for pair in claims.PAIRS[:2] for at in (1, k)]
    lower = across(ntp - ra3)
    return f"""## Base model {_name(model)}, {len(trials)} seeds

### (a) RA3 > NTP > base: {_verdict(all(above))}

{markdown(["model", "pass@1", f"pass@{k}", "tokens", "FLOPs", "seconds"], claims.pass_table(trials, k))}

{markdown(["paired difference", "pass@1", f"pass@{k}"], claims.pair_table(trials, k))}

### (b) The M-step's cross-entropy of code ends below NTP's: {_verdict(lower.is_above_zero)}

NTP ends at {np.mean(ntp):.3f} nats a token of code, the M-step at {np.mean(ra3):.3f}; NTP less M-step {lower.value:.3f}
[{lower.low:.3f}, {lower.high:.3f}].

![cross-entropy of code]({losses.name})

{_of_rlvr(reader, trials, file.with_name(f"{file.stem}-rewards-{number}.svg"))}

### (d) The penalty c: more of it, fewer comments

{
        markdown(
            ["c", "lines with a latent", "tokens generated", "seconds", "pass@1"], claims.penalty_table(reader, trials)
        )
    }"""


def _of_rlvr(reader: Reader, trials: Sequence[Trial], chart: Path) -> str:
    if not claims.has_rlvr(reader, trials):
        return "### (c) RLVR from RA3 is there sooner, and ends higher: not tried, as RLVR took no update"
    claims.draw_rewards(reader, trials, chart)
    higher = claims.gain(trials, "RA3 + RLVR", "NTP + RLVR", 1).is_above_zero
    saved = claims.updates_saved(reader, trials)
    holds = higher and saved.is_above_zero
    head = ["RLVR from", "reward at first", "reward at last", "updates to NTP's last reward, a seed each"]
    return f"""### (c) RLVR from RA3 is there sooner, and ends higher: {_verdict(holds)}

{markdown(head, claims.convergence_table(reader, trials))}

RA3 is there {saved.value:.1f} [{saved.low:.1f}, {saved.high:.1f}] updates before NTP.

![reward of RLVR]({chart.name})"""


def _name(model: str) -> str:
    return f"`{Path(model).name}`"


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"
