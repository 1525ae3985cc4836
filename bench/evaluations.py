"""pass@1 of every evaluation of several launches of one recipe, over seeds and problems, and what arms gain on others.

for seed in 0 1 2 3 4; do ra3 run quickstart seed=$seed --tag reproduce --home HOME; done
python bench/evaluations.py HOME
"""

from __future__ import annotations

import argparse
from contextlib import closing
from itertools import combinations
from pathlib import Path

from engine.reports.claims import in_percent, markdown
from engine.reports.intervals import across
from engine.reports.trials import pass_matrix, read_trials
from engine.store.reader import Reader


def main() -> None:
    """Read, and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--tag", default="reproduce")
    options = parser.parse_args()
    with closing(Reader(options.home)) as reader:
        trials = read_trials(reader, options.tag)
        rewards = {
            arm: [[value for _, value in reader.series(trial.runs[arm], "rlvr/reward")] for trial in trials]
            for arm in trials[0].runs
        }
    names = list(trials[0].evaluations)
    values = {name: pass_matrix(trials, name, 1) for name in names}
    seeds = [str(trial.seed) for trial in trials]
    rows = [
        [name[0], name[1], in_percent(across(values[name])), *(f"{100 * row.mean():.1f}" for row in values[name])]
        for name in names
    ]
    print(markdown(["arm", "after", "pass@1", *(f"seed {seed}" for seed in seeds)], rows), end="\n\n")  # noqa: T201
    pairs = [
        [f"{b[0]} ({b[1]}) - {a[0]} ({a[1]})", in_percent(across(values[b] - values[a]), signed=True)]
        for a, b in combinations(names, 2)
    ]
    print(markdown(["paired difference", "pass@1"], pairs), end="\n\n")  # noqa: T201
    told = [
        [arm, *(" ".join(f"{value:.2f}" for value in series) for series in of_arm)]
        for arm, of_arm in rewards.items()
        if of_arm[0]
    ]
    print(markdown(["reward of RLVR", *(f"seed {seed}" for seed in seeds)], told))  # noqa: T201


if __name__ == "__main__":
    main()
