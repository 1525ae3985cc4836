"""A store as an engine leaves it: three arms of one launch, written through the engine's own Writer."""

from __future__ import annotations

import json
import math
import os
import random
import time
from pathlib import Path
from typing import Any

from engine.store.writer import Writer

PROGRAM = (
    ("\n    total = 0", None),
    ("\n    for item in items:", " add up what is even"),
    ("\n        if item % 2 == 0:", None),
    ("\n            total += item", None),
    ("\n\n    if not total:", " nothing even: say so"),
    ('\n        raise ValueError("no even item")', None),
    ("\n    return total", None),
)
PROMPT = 'def even_sum(items):\n    """The sum of the even items."""'
VERDICTS = (
    *("passed", "wrong_answer", "runtime_error", "syntax_error", "time_limit"),
    *("memory_limit", "output_limit", "forbidden", "early_exit", "test_error", "sandbox_error"),
)
ARMS = {
    "base": ("eval",),
    "ntp": ("ntp", "eval", "rlvr", "eval"),
    "ra3": ("ra3", "eval", "rlvr", "eval"),
}


def create(
    home: Path, run: str, *, arm: str = "ra3", group: str = "launch", status: str = "running", **columns: Any
) -> Writer:
    """A run's row, and the (not yet entered) writer that made it."""
    writer = Writer(home, run)
    row = {"group": group, "name": "smollm2", "arm": arm, "status": status, "seed": 0, "folder": str(home / run)}
    row |= {
        "config": "{}",
        "tags": json.dumps([]),
        "device": "cpu",
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "heartbeat": time.time(),
    }
    writer.create_run(**{**row, **columns})
    return writer


def fill(home: Path, *, points: int = 120, group: str = "launch", prefix: str = "") -> list[str]:
    """One launch: ``base`` done, ``ntp`` done, ``ra3`` running in its RLVR stage. Ids of its runs."""
    return [_fill_arm(home, f"{prefix}{arm}01", arm, group, points) for arm in ARMS]


def _fill_arm(home: Path, run: str, arm: str, group: str, points: int) -> str:
    done = arm != "ra3"
    figures = {"step": 0 if arm == "base" else points, "started": time.time() - 754}
    figures |= {"ended": time.time() - 60} if done else {"eta_s": 200.0, "progress": 0.62, "stage": "rlvr"}
    writer = create(home, run, arm=arm, group=group, status="done" if done else "running", **figures)
    with writer:
        rng = random.Random(run)
        for position, kind in enumerate(ARMS[arm]):
            running = not done and position == 2
            status = "done" if done or position < 2 else "running" if running else "queued"
            tokens = {"tokens_trained": 12_000, "tokens_generated": 4_300} if kind != "eval" else {}
            writer.stage(position, kind, status=status, seconds=118.0, **tokens)
        _metrics(writer, arm, points, rng)
        _evals(writer, arm)
        _samples(writer, rng)
        if arm == "ra3":
            for rollout in range(4):
                trace(writer, rollout=rollout)
        writer.event("start", f"{run} starts on cpu")
        writer.event("estep", "the gate was open on 38% of lines")
        writer.event("think", "think rate under 1%: the gate may have collapsed", level="warning")
    return run


def _metrics(writer: Writer, arm: str, points: int, rng: random.Random) -> None:
    phases = [(0, "eval", 0, 0)]
    if arm == "ra3":
        fifth = points // 5
        phases += [(0, "estep", 0, 0), (fifth, "mstep", 0, 0), (2 * fifth, "estep", 0, 1), (3 * fifth, "mstep", 0, 1)]
    elif arm == "ntp":
        phases += [(0, "ntp", 0, 0)]
    if arm != "base":
        phases += [(4 * points // 5, "eval", 1, 0), (4 * points // 5, "rlvr", 2, 0)]
    for step, kind, position, round_ in phases:
        writer.step = step
        writer.phase(kind, position, round_)
    for step in range(1, points + 1 if arm != "base" else 1):
        writer.step = step
        writer.metrics(_values(step, points, arm, rng))


def _values(step: int, points: int, arm: str, rng: random.Random) -> dict[str, float]:
    loss = 2.4 * math.exp(-3 * step / points) + 0.9 + 0.15 * rng.random()
    if step == points // 3:
        loss = math.nan
    if step == points // 2:
        loss = 6.0
    values = {"loss": loss, "grad_norm": 1 + rng.random(), "tokens_per_s": 300 + 40 * rng.random()}
    if step % 10 == 0:
        values["held_out/loss"] = loss + 0.1
    if arm == "ra3" and step <= 4 * points // 5:
        values["estep/reward"] = -1.5 + step / points + 0.2 * rng.random()
        values["estep/think_rate"] = 0.5 * math.exp(-2 * step / points) + 0.05 * rng.random()
    if step > 4 * points // 5:
        values["rlvr/reward"] = 0.2 + 0.3 * rng.random()
    if step in (4 * points // 5, points):
        values["pass@1/humaneval[:32]"] = 0.2 + 0.1 * step / points
    return values


def _evals(writer: Writer, arm: str) -> None:
    after = {
        "base": [(0, "base", 0.219)],
        "ntp": [(1, "ntp", 0.234), (3, "ntp+rlvr", 0.266)],
        "ra3": [(1, "ra3", 0.281)],
    }
    for position, stages, value in after[arm]:
        for k, more in ((1, 0.0), (2, 0.09)):
            row = {"position": position, "suite": "humaneval[:32]", "k": k, "step": writer.step, "after": stages}
            row |= {"value": value + more, "low": value + more - 0.12, "high": value + more + 0.13}
            writer.add("evals", {**row, "problems": 32, "n": 2, "masked": 0})


def _samples(writer: Writer, rng: random.Random) -> None:
    writer.problems([{"suite": "humaneval[:32]", "task": f"HumanEval/{i}", "prompt": PROMPT + "\n"} for i in range(10)])
    for i, verdict in enumerate(VERDICTS):
        sample(writer, task=f"HumanEval/{i}", verdict=verdict, cpu_s=0.02 + rng.random())


def sample(writer: Writer, **columns: Any) -> None:
    """A judged sample; ``columns`` say what is different."""
    verdict = columns.get("verdict", "passed")
    row: dict[str, Any] = {"step": writer.step, "phase": "rlvr", "position": 2, "suite": "humaneval[:32]", "sample": 0}
    row |= {"task": "HumanEval/0", "text": "    return sum(item for item in items if item % 2 == 0)\n", "tokens": 21}
    row |= {"stop": "eos", "logprob": -11.2, "verdict": verdict, "reward": float(verdict == "passed"), "cpu_s": 0.02}
    row |= {"advantage": 0.7, "wall_s": 0.05, "peak_mb": 11.0, "stdout": "", "stderr": "", "backend": "namespaces"}
    if verdict != "passed":
        row |= {
            "failed_test": "assert even_sum([2, 3, 4]) == 6",
            "stdout": "checking 3\n",
            "stderr": "AssertionError\n",
        }
    writer.add("samples", {**row, **columns})


def trace(writer: Writer, *, rollout: int = 0, name: str = "json/decoder.py:332 even_sum") -> None:
    """An annotated trace of seven lines with two latents."""
    lines = [
        {
            "text": text,
            "latent": latent,
            "tokens": 8,
            "p_think": 0.31 if latent else 0.12,
            "advantage": 0.05 * i,
            "bare_logprob": -1.4 - 0.1 * i,
            "logprob": -1.4 - 0.1 * i + 0.12 * (i - 2),
            "reward": -1.2,
        }
        for i, (text, latent) in enumerate(PROGRAM)
    ]
    row = {"phase": "estep", "round": 0, "trace": "even_sum", "source": name, "rollout": rollout, "prompt": PROMPT}
    program = PROMPT + "".join(text for text, _ in PROGRAM)
    writer.trace(
        {**row, "text": program, "lines": len(lines), "latents": 2, "bound": -1.31, "bare": -1.52, "step": writer.step},
        lines,
    )
