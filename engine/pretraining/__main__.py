"""Pre-train ra3-tiny: `just pretrain-tiny`, some 12 minutes on one core. Exit code 1 where a bound is missed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from engine.pretraining.measuring import measure
from engine.pretraining.train import Settings, pretrain

BOUNDS: dict[str, tuple[float, float]] = {
    "comment": (0.8, 1.0),
    "key/1": (0.9, 1.0),
    "key/commented": (0.95, 1.0),
    "key/4": (0.0, 0.2),
    "key/5": (0.0, 0.2),
    "code": (0.97, 1.0),
    "gate": (0.01, 0.1),
}
"""Least and most of each measure, ``comment`` of each position."""
RECORD = "pretraining.json"
THREADS = 1
"""For matrices this small a second one saves a fifth of the time; and with one the bits are those of any machine's
number of cores."""


def main() -> int:
    """Train, measure, write down."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="pretrain-tiny", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder that the model is written to")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--tokens", type=int, default=defaults.tokens)
    parser.add_argument(
        "--device", default="cpu", help="the shipped weights come from `cpu`, whose bits are the same twice"
    )
    arguments = parser.parse_args()
    torch.set_default_device(arguments.device)
    torch.set_num_threads(THREADS)
    began = time.monotonic()
    settings = replace(defaults, seed=arguments.seed, tokens=arguments.tokens)
    trained = pretrain(settings, lambda line: print(f"{time.monotonic() - began:5.0f} s  {line}", file=sys.stderr))  # noqa: T201
    measures = measure(trained.model, trained.tokenizer)
    arguments.out.mkdir(parents=True, exist_ok=True)
    trained.model.save_pretrained(arguments.out)
    trained.tokenizer.save_pretrained(arguments.out)
    record = {
        "settings": asdict(settings),
        "data_sha256": trained.digest,
        "attempt": trained.attempt,
        "held": trained.held,
        "measures": measures,
        "curve": trained.curve,
    }
    (arguments.out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measures, indent=1))  # noqa: T201
    if outside := missed(measures):
        print(f"bounds missed: {', '.join(outside)}", file=sys.stderr)  # noqa: T201
    return 1 if outside else 0


def missed(measures: dict[str, float]) -> list[str]:
    """Which measures are outside their bounds, as `gate = 0.5`."""
    return [f"{name} = {value}" for name, value in measures.items() if not _within(name, value)]


def _within(name: str, value: float) -> bool:
    low, high = BOUNDS.get(name) or BOUNDS.get(name.partition("/")[0]) or (0.0, 1.0)
    return low <= value <= high


if __name__ == "__main__":
    sys.exit(main())
