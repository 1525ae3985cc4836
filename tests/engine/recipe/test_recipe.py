"""Recipes: what is read is what is written, and every mistake is told by file, key, expectation and nearest key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.recipe.files import load_recipe, parse_recipe, shipped
from engine.recipe.keys import RecipeError
from engine.recipe.recipe import Recipe

MINIMAL = 'name = "mine"\n[model]\nid = "random:tiny"\n[arms.base]\nstages = ["eval"]\n'


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, text), overrides)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_recipe_survives_the_round_trip_through_toml(name: str) -> None:
    recipe = load_recipe(name)
    assert parse_recipe(recipe.to_toml(), name) == recipe


@pytest.mark.parametrize("name", sorted(shipped()))
def test_what_an_arm_runs_survives_the_round_trip_and_holds_that_arm_alone(name: str) -> None:
    recipe = load_recipe(name)
    for arm in recipe.arms:
        alone = recipe.for_arm(arm)
        assert list(alone.arms) == [arm]
        assert parse_recipe(alone.to_toml(), name) == alone


def test_the_written_recipe_tells_every_default(tmp_path: Path) -> None:
    text = load_recipe(written(tmp_path, MINIMAL)).to_toml()
    assert "penalty = 0.05" in text
    assert 'backend = "auto"' in text


def test_every_key_is_documented() -> None:
    for name, section in Recipe.model_json_schema()["$defs"].items():
        for key, value in section["properties"].items():
            assert value.get("description"), f"{name}.{key}"


def test_an_unknown_recipe_names_those_that_exist_and_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'smokey'.*smoke, smollm2, ablate.*did you mean 'smoke'"):
        load_recipe("smokey")


def test_a_pipe_a_device_or_a_name_too_long_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for name in (str(tmp_path / "pipe.toml"), "/dev/zero", str(tmp_path), "a\0b"):
        with pytest.raises(RecipeError, match="it is neither a file nor one of"):
            load_recipe(name)
    with pytest.raises(RecipeError, match="cannot be looked at: File name too long"):
        load_recipe("x" * 300)
    written(tmp_path, MINIMAL.replace("name", 'extends = "pipe.toml"\nname', 1))
    with pytest.raises(RecipeError, match=r"no recipe 'pipe\.toml'"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_what_is_not_toml_is_refused_by_file_and_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "name = \n")
    assert "mine.toml: not TOML" in message
    assert "line 1" in message


def test_what_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b'name = "\xff"\n')
    with pytest.raises(RecipeError, match="not TOML"):
        load_recipe(str(path))


def test_an_unknown_key_in_a_file_names_file_key_and_nearest_known_key(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "[ra3]\npenaltie = 0.1\n")
    assert "mine.toml" in message
    assert "unknown key ra3.penaltie" in message
    assert "did you mean 'penalty'?" in message


def test_an_ill_typed_value_in_a_file_names_file_key_and_expectation(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + '[ra3]\nrounds = "many"\n')
    assert "mine.toml" in message
    assert "ra3.rounds = 'many'" in message
    assert "integer" in message


def test_a_value_out_of_bounds_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "[ra3]\ngamma = 1.5\n")
    assert "ra3.gamma = 1.5" in message
    assert "less than or equal to 1" in message


def test_a_missing_table_is_named_with_what_was_expected(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'name = "mine"\n[arms.base]\nstages = ["eval"]\n')
    assert "model is missing: expected a table" in message


def test_every_mistake_of_a_file_is_told(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "[ra3]\npenaltie = 0.1\nrounds = 0\n")
    assert len(message.splitlines()) == 2


def test_a_stage_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "arms.base.stages" in refusal(tmp_path, MINIMAL.replace('"eval"', '"evaluate"'))


def test_an_arm_without_stages_is_refused(tmp_path: Path) -> None:
    assert "arms.base.stages" in refusal(tmp_path, MINIMAL.replace('["eval"]', "[]"))


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("ra3.penalty=0.1", ("ra3", "penalty"), 0.1),
        ("ra3.rounds=3", ("ra3", "rounds"), 3),
        ("ra3.horizon=1", ("ra3", "horizon"), 1),
        ("ra3.bound=bernoulli", ("ra3", "bound"), "bernoulli"),
        ("rlvr.filter_overlong=false", ("rlvr", "filter_overlong"), False),
        ('eval.suites=["humaneval[:4]"]', ("eval", "suites"), ("humaneval[:4]",)),
        ("eval.k=[1, 2]", ("eval", "k"), (1, 2)),
        ("ntp.optimiser.learning_rate=1e-4", ("ntp", "optimiser", "learning_rate"), 1e-4),
        ("compute.device=cuda:1", ("compute", "device"), "cuda:1"),
        ("corpus.path=a=b", ("corpus", "path"), "a=b"),
    ],
)
def test_an_override_takes_the_type_of_its_key(override: str, key: tuple[str, ...], value: object) -> None:
    resolved: object = load_recipe("smoke", [override])
    for part in key:
        resolved = getattr(resolved, part)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    "override", ["eval.k=[1, 9]", "seed=4294967295", "compute.device=mps", "ntp.tokens=10000000000"]
)
def test_the_last_value_within_bounds_is_taken(override: str) -> None:
    load_recipe("smoke", [override])


@pytest.mark.medium
def test_every_number_of_every_table_must_be_finite(tmp_path: Path) -> None:
    for key, value in numbers(load_recipe("smoke").model_dump(exclude={"arms"})):
        for rubbish in ("inf", "-inf", "nan"):
            with pytest.raises(RecipeError, match=re.escape(key)):
                load_recipe("smoke", [f"{key}={rubbish}"])
            in_file = refusal(tmp_path, MINIMAL.replace("[model]", f"{key} = {rubbish}\n[model]", 1))
            assert key in in_file, (value, in_file)
        assert "finite" in refusal(tmp_path, f"{MINIMAL}set = {{'{key}' = nan}}\n") or isinstance(value, int)


def numbers(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of nested tables, by its dotted key."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{path}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path + key, value


def test_none_takes_an_optional_value_back() -> None:
    assert load_recipe("smoke").corpus.limit is not None
    assert load_recipe("smoke", ["corpus.limit=none"]).corpus.limit is None


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("ra3.penalty", ["expected key=value"]),
        ("ra3.penaltie=0.1", ["unknown key ra3.penaltie", "did you mean 'penalty'?"]),
        ("ra4.penalty=0.1", ["unknown key ra4", "did you mean 'ra3'?"]),
        ("ra3.rounds=many", ["ra3.rounds = 'many'", "expected int"]),
        ("ra3.bound=none", ["ra3.bound = 'none'", "one of 'penalty', 'bernoulli'"]),
        ("ra3.rounds.deep=1", ["ra3.rounds is a value"]),
        ("ra3.gamma=2", ["ra3.gamma = 2", "less than or equal to 1"]),
        ("=3", ["unknown key"]),
        ("eval.suites=humaneval", ["expected a list ([…]) of str"]),
        ("arms.ra3.stages=ra3", ["expected a list ([…]) of one of 'eval', 'ntp', 'ra3', 'rlvr'"]),
        ("seed=99999999999999999999", ["seed = 99999999999999999999", "less than 4294967296"]),
        ("seed=4294967296", ["less than 4294967296"]),
        ("ra3.penalty=inf", ["ra3.penalty = inf", "finite number"]),
        ("ntp.seconds=nan", ["ntp.seconds = nan", "finite number"]),
        ("ntp.optimiser={learning_rate = inf}", ["ntp.optimiser = {'learning_rate': inf}", "finite number"]),
        ("eval.k=[1, 0]", ["eval.k = [1, 0]", "greater than or equal to 1"]),
        ("eval.k=[5, 3]", ["eval.k = [5, 3]", "eval.n = 2", "raise eval.n to 3"]),
        ("eval.k=[]", ["name a suite and a k"]),
        ("eval.suites=[]", ["name a suite and a k"]),
        ("ntp.tokens=9223372036854775808", ["ntp.tokens = 9223372036854775808", "below 2**63"]),
        *((f"compute.device={name}", ["write auto, cpu, cuda, cuda:N or mps"]) for name in ("gpu", "cdua", "cuda:")),
    ],
)
def test_a_wrong_override_is_told_by_key_and_expectation(override: str, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("smoke", [override])
    for word in words:
        assert word in str(caught.value)


def test_an_arms_own_overrides_hold_for_it_alone(tmp_path: Path) -> None:
    text = MINIMAL + '[arms.costly]\nstages = ["ra3"]\nset = {"ra3.penalty" = 0.5}\n'
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.for_arm("costly").ra3.penalty == 0.5
    assert recipe.for_arm("base").ra3.penalty == 0.05


def test_an_unknown_key_in_an_arms_overrides_is_refused(tmp_path: Path) -> None:
    text = MINIMAL + '[arms.costly]\nstages = ["ra3"]\nset = {"ra3.penaltie" = 0.5}\n'
    message = refusal(tmp_path, text)
    assert "arms.costly.set" in message
    assert "did you mean 'penalty'?" in message


def test_an_override_below_what_is_no_table_in_the_file_is_refused(tmp_path: Path) -> None:
    assert "model = 3: expected a table" in refusal(tmp_path, "model = 3\n", "model.id=random:tiny")


def test_one_message_can_be_put_on_the_screen_for_every_kind_of_rubbish(tmp_path: Path) -> None:
    for text in ("", "[[arms]]\n", "model = 3\n", "arms = 3\n", MINIMAL + "ra3 = 4\n", "name = 1979-05-27\n"):
        assert refusal(tmp_path, text)


def test_weights_of_half_precision_are_not_trained_but_may_be_measured_or_carry_adapters(tmp_path: Path) -> None:
    text = MINIMAL.replace("[arms.base]", "dtype = 'bfloat16'\n[arms.ntp]\nstages = ['ntp']\n[arms.base]")
    recipe = load_recipe(written(tmp_path, text))
    with pytest.raises(RecipeError, match="mixed_precision"):
        recipe.for_arm("ntp")
    assert recipe.for_arm("base").model.dtype == "bfloat16"
    assert load_recipe(written(tmp_path, text), ["lora.rank=8"]).for_arm("ntp").lora.rank == 8


def test_weights_in_float16_may_be_measured_and_nothing_else(tmp_path: Path) -> None:
    text = MINIMAL.replace("[arms.base]", "dtype = 'float16'\n[arms.ntp]\nstages = ['ntp']\n[arms.base]")
    recipe = load_recipe(written(tmp_path, text), ["lora.rank=8"])
    with pytest.raises(RecipeError, match=r"vanish or overflow; set model\.dtype = 'bfloat16'"):
        recipe.for_arm("ntp")
    assert recipe.for_arm("base").model.dtype == "float16"


@pytest.mark.parametrize("overrides", [[], ["compute.mixed_precision=fp16"]])
def test_an_old_recipe_in_fp16_is_told_what_to_set(tmp_path: Path, overrides: list[str]) -> None:
    text = MINIMAL if overrides else MINIMAL + "[compute]\nmixed_precision = 'fp16'\n"
    words = refusal(tmp_path, text, *overrides)
    assert "fp16; set compute.mixed_precision to 'bf16', or to 'auto'" in words


def test_a_recipe_that_extends_another_is_as_that_one_but_for_what_it_says(tmp_path: Path) -> None:
    text = 'name = "mine"\nextends = "smoke"\n[ra3]\nestep.updates = 7\n[arms.mine]\nstages = ["ra3"]\n'
    mine, smoke = load_recipe(written(tmp_path, text)), load_recipe("smoke")
    assert (mine.name, mine.ra3.estep.updates, list(mine.arms)) == ("mine", 7, ["mine"])
    assert mine.ra3.estep.model_copy(update={"updates": smoke.ra3.estep.updates}) == smoke.ra3.estep
    assert (mine.ntp, mine.model) == (smoke.ntp, smoke.model)
    assert load_recipe(written(tmp_path, 'extends = "smoke"\n')) == smoke


def test_a_recipe_extends_a_path_beside_it_over_several_files(tmp_path: Path) -> None:
    (tmp_path / "low.toml").write_text('extends = "smoke"\nseed = 1\n[ra3]\npenalty = 0.5\n')
    assert load_recipe(written(tmp_path, 'extends = "low.toml"\nseed = 2\n')).ra3.penalty == 0.5
    assert load_recipe(written(tmp_path, 'extends = "low.toml"\nseed = 2\n')).seed == 2


def test_what_cannot_be_extended_is_refused(tmp_path: Path) -> None:
    assert "did you mean 'smoke'?" in refusal(tmp_path, 'extends = "smokey"\n')
    assert "cannot extend itself" in refusal(tmp_path, 'extends = "mine.toml"\n')
    assert "extends = 3" in refusal(tmp_path, "extends = 3\n")


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_arm_that_imitates_has_the_same_budget_of_tokens(name: str) -> None:
    budgets = set()
    for arm in (recipe := load_recipe(name)).arms:
        alone = recipe.for_arm(arm)
        stages = alone.arms[arm].stages
        budgets |= {alone.ntp.tokens} if "ntp" in stages and alone.ntp.by_tokens else set()
        budgets |= {alone.ra3.rounds * alone.ra3.mstep.tokens} if "ra3" in stages and alone.ra3.mstep.tokens else set()
    assert len(budgets) == 1
