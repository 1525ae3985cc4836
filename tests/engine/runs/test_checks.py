"""What a launch lacks is one line before anything of it is planned."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, UsageFault
from engine.recipe.files import load_recipe, parse_recipe
from engine.recipe.recipe import Recipe
from engine.runs.checks import check_launch
from tests.engine.small import small_recipe

PROBLEM = '{"prompt": "def g(x):", "test_list": ["assert g(1)"]}\n'
ARMS = '[arms.{}]\nstages = ["ntp"]\n[arms.{}]\nstages = ["ntp"]\nset = {{"ntp.as_long_as" = "long"}}\n'


@pytest.mark.parametrize("name", ["smoke", "smollm2", "baselines"])
def test_a_shipped_recipe_lacks_nothing(name: str) -> None:
    check_launch(load_recipe(name))


def test_a_recipe_of_every_stage_whose_files_are_there_lacks_nothing(tmp_path: Path) -> None:
    check_launch(small_recipe(tmp_path))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (['eval.suites=["humaneval[:4]", "jason"]'], "there is no suite 'jason'"),
        (['eval.suites=["jsonl:DIR/none.jsonl"]'], "none.jsonl: cannot be read"),
        (['eval.suites=["jsonl:DIR/p.jsonl", "jsonl:DIR/../DIRNAME/p.jsonl"]'], "is there twice"),
        (["rlvr.suite=humaneval[164:]"], "the range is empty"),
        (["rlvr.suite=humaneval[:1]"], "has 1 problems, an update asks for 2"),
        (["corpus.kind=folder"], "set corpus.path"),
        (["corpus.kind=jsonl", "corpus.path=DIR/none.jsonl"], "none.jsonl: no such JSONL file"),
        (["corpus.kind=folder", "corpus.path=DIR/p.jsonl"], "is a file"),
        (["ntp.comments=file"], "set ntp.comments_path"),
        (["ntp.comments=file", "ntp.comments_path=DIR"], "no such file"),
        (["ntp.as_long_as=ra3"], "no arm of that name trains before"),
        (['arms.ra3.set={"compute.processes" = 2}'], "compute.processes differs between these runs ([1, 2])"),
        (["--", "ra2"], "no arm 'ra2'"),
    ],
)
def test_what_is_not_there_is_one_line(overrides: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(PROBLEM)
    arms = overrides[1:] if overrides[0] == "--" else None
    changes = [text.replace("DIRNAME", tmp_path.name).replace("DIR", str(tmp_path)) for text in overrides]
    recipe = load_recipe("smoke", [] if arms else changes)
    with pytest.raises(UsageFault) as caught:
        check_launch(recipe, arms)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_what_the_arms_asked_for_need_is_asked_for() -> None:
    recipe = load_recipe("smoke", ["rlvr.suite=jason", "corpus.kind=folder"])
    check_launch(recipe, ["base"])
    with pytest.raises(UsageFault):
        check_launch(recipe, ["base", "ntp"])


def timed(first: str, second: str) -> Recipe:
    """Two arms that imitate, the second of them for as long as the arm ``long`` took."""
    return parse_recipe('name = "t"\n[model]\nid = "random:tiny"\n' + ARMS.format(first, second), "t")


def test_a_budget_that_is_an_arms_time_needs_that_arm_before_it_in_the_launch() -> None:
    check_launch(timed("long", "short"))
    for recipe, arms in ((timed("long", "short"), ["short"]), (timed("other", "long"), None)):
        with pytest.raises(UsageFault, match="no arm of that name trains before"):
            check_launch(recipe, arms)


def test_as_many_problems_as_an_update_asks_for_are_enough(tmp_path: Path) -> None:
    check_launch(load_recipe("smoke", ["rlvr.suite=humaneval[:2]"]))


def test_adapters_without_peft_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("smoke", ["lora.rank=2"])
    check_launch(recipe)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("engine.runs.checks._check_suites", lambda *_: None)  # which look for their package likewise
    with pytest.raises(EnvironmentFault, match="needs peft"):
        check_launch(recipe)


@pytest.mark.medium
def test_asking_imports_no_torch() -> None:
    program = (
        "import sys\nfrom engine.recipe.files import load_recipe\nfrom engine.runs.checks import check_launch\n"
        "check_launch(load_recipe('smoke'))\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_problems_that_are_trained_and_evaluated_on_are_told_once_by_their_prompts(tmp_path: Path) -> None:
    prompts = ["def f(x):", "def g(x):", "def h(x):"]
    spelt = ["DEF  f ( x ) :", "def g(x):\n", "def h(y):"]
    for name, texts in (("train", prompts), ("eval", spelt), ("other", ["def k(x):"] * 3)):
        rows = [json.dumps({"prompt": text, "test_list": ["assert f(1)"]}) for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    suites = f'eval.suites=["jsonl:{tmp_path}/eval.jsonl", "jsonl:{tmp_path}/other.jsonl"]'
    recipe = load_recipe("smoke", [suites, f"rlvr.suite=jsonl:{tmp_path}/train.jsonl"])
    assert check_launch(recipe) == [
        "2 of the 3 problems that rlvr.suite trains on have the prompt of one of jsonl, which eval.suites measures: "
        "its pass@k will tell of memory too"
    ]
    apart = load_recipe(
        "smoke", [suites.replace("eval.jsonl", "train.jsonl"), f"rlvr.suite=jsonl:{tmp_path}/other.jsonl"]
    )
    assert check_launch(apart)[0].startswith("3 of the 3 problems")
    assert check_launch(load_recipe("smoke", ['eval.suites=["katas[:5]"]', "rlvr.suite=katas-rlvr[:5]"])) == []
