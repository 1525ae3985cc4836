"""An experiment small enough for a test: a random tiny model, four functions, problems anything may solve."""

from __future__ import annotations

import json
from pathlib import Path

from engine.recipe.files import parse_recipe
from engine.recipe.recipe import Recipe

FUNCTIONS = """
def total(numbers):
    '''Add up numbers.'''
    result = 0
    for number in numbers:
        result += number
    return result


def longest(words):
    '''The longest of words.'''
    # nothing so far
    best = ''
    for word in words:
        if len(word) > len(best):
            best = word
    return best


def flat(rows):
    '''The items of rows, one after the other.'''
    out = []
    for row in rows:
        out.extend(row)
    return out


def evens(numbers):
    '''Even numbers alone.'''
    kept = []
    for number in numbers:
        if number % 2 == 0:
            kept.append(number)
    return kept
"""

RECIPE = """
name = "small"
seed = 3
[model]
id = "random:tiny"
[compute]
device = "cpu"
row_tokens = 512
decode_batch = 8
[corpus]
kind = "folder"
path = "{corpus}"
held_out = 1
[checkpoints]
every = 1
[eval]
suites = ["jsonl:{problems}"]
n = 2
k = [1, 2]
max_new_tokens = 4
[ntp]
tokens = 600
step_tokens = 150
optimiser.learning_rate = 1e-3
[ra3]
max_latent_tokens = 4
[ra3.estep]
updates = 2
traces = 1
explore = 0.5
optimiser.learning_rate = 1e-3
[ra3.mstep]
traces = 2
tokens = 300
step_tokens = 150
optimiser.learning_rate = 1e-3
[rlvr]
suite = "jsonl:{problems}"
updates = 2
problems_per_update = 1
group_size = 4
max_new_tokens = 1
filter_overlong = false
optimiser.learning_rate = 1e-3
[arms.all]
stages = ["ntp", "ra3", "eval", "rlvr", "eval"]
"""


SHORT_NAMES = """\
from itertools import product
letters = "abcdefghijklmnopqrstuvwxyz"
globals().update({"".join(word): 0 for n in (1, 2, 3) for word in product(letters, repeat=n)})


"""


def small_recipe(folder: Path, **overrides: str) -> Recipe:
    """The recipe, its inputs written to ``folder``; ``overrides`` replace words of its text."""
    (folder / "corpus").mkdir(exist_ok=True)
    (folder / "corpus" / "functions.py").write_text(FUNCTIONS)
    problems = folder / "problems.jsonl"
    # A completion is a line of its own. Every short word is a name here, so that a random model solves it now and then.
    lines = [
        {
            "task_id": f"free/{i}",
            "prompt": SHORT_NAMES + f"def f():\n    return {i}",
            "entry_point": "f",
            "test": f"def check(candidate):\n    assert candidate() == {i}\n",
        }
        for i in range(2)
    ]
    problems.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = RECIPE.format(corpus=folder / "corpus", problems=problems)
    for old, new in overrides.items():
        text = text.replace(old, new)
    return parse_recipe(text, "small")
