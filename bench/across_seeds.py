"""pass@k of the same arms under several seeds, each seed and all together, with paired differences, from stores alone.

    python bench/across_seeds.py HOME [HOME ...] [--suite humaneval] [--k 1]

Each home is one of ``ra3 run --home``. Of an arm and a seed the last run that came to its end counts, and of that its
last evaluation on the suite. The line ``all`` has all samples of a problem together: its intervals are over problems,
not seeds.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

from engine.store.reader import Reader
from engine.suites.passk import Difference, Estimate, estimate, paired_difference

OfProblem = dict[str, tuple[int, int]]
"""Samples of each problem that got a verdict, and how many of them passed."""


def read(homes: list[Path], suite: str) -> dict[str, dict[int, OfProblem]]:
    """By arm and seed the counts of the last evaluation on a suite."""
    arms: dict[str, dict[int, OfProblem]] = defaultdict(dict)
    for home in homes:
        reader = Reader(home)
        for run in sorted(reader.runs(), key=lambda run: run["created"]):
            evaluations = {key: counts for key, counts in reader.eval_counts(run["id"]).items() if key[1] == suite}
            if run["status"] == "done" and evaluations:
                arms[run["arm"]][run["seed"]] = evaluations[max(evaluations)]
        reader.close()
    return arms


def together(parts: list[OfProblem]) -> OfProblem:
    """The counts of several evaluations as those of one."""
    samples: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for part in parts:
        for task, (n, c) in part.items():
            samples[task] += n
            passed[task] += c
    return {task: (samples[task], passed[task]) for task in samples}


def in_percent(told: Estimate | Difference) -> str:
    """A value and its 95% interval."""
    return f"{100 * told.value:.2f} [{100 * told.low:.2f}, {100 * told.high:.2f}]"


def main() -> None:
    """Read, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("homes", nargs="+", type=Path)
    parser.add_argument("--suite", default="humaneval")
    parser.add_argument("--k", type=int, default=1)
    options = parser.parse_args()
    arms = read(options.homes, options.suite)
    if not arms:
        raise SystemExit(f"no run there came to its end with an evaluation on {options.suite}")
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in arms.values())))
    pairs = [(later, former) for former, later in combinations(arms, 2)]
    lines: list[tuple[object, dict[str, OfProblem]]] = [
        (seed, {arm: by_seed[seed] for arm, by_seed in arms.items()}) for seed in seeds
    ]
    lines.append(("all", {arm: together([by_seed[seed] for seed in seeds]) for arm, by_seed in arms.items()}))
    heads = ["seed", *arms, *(f"{later} - {former}" for later, former in pairs)]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")  # noqa: T201
    for name, counts in lines:
        cells = [in_percent(estimate(list(of_arm.values()), options.k)) for of_arm in counts.values()]
        cells += [in_percent(paired_difference(counts[a], counts[b], options.k)) for a, b in pairs]
        print(f"| {name} | " + " | ".join(cells) + " |")  # noqa: T201


if __name__ == "__main__":
    main()
