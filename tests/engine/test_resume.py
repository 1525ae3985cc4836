"""What a resumed run finds changed: damaged checkpoints, other inputs, another folder to start from, no folder."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, UsageFault
from engine.model.policy import load_policy
from engine.pipeline import execute
from engine.recipe.recipe import Recipe
from engine.runs.places import newest, saved
from engine.runs.planning import plan, unfinished
from engine.runs.progress import Silent
from engine.store.reader import Reader
from tests.engine.engines import Script, begin, fingerprint, finish, records, start
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow

STAGES = {'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp", "eval", "ra3", "rlvr"'}

CURRICULUM = {
    "rlvr.curriculum": "pass_rate",
    "rlvr.kl": 0.5,
    "rlvr.epochs": 2,
    "rlvr.reward": "weighted",
    "rlvr.partial_updates": 6,
    "rlvr.updates": 8,
    "rlvr.group_size": 2,
    "rlvr.max_resamples": 1,
}


def killed(home: Path, recipe: Recipe, phase: str, update: int) -> str:
    """A run that was killed behind an update inside the phase."""
    run = start(recipe, home)
    process = begin(home, run, Script(home, run, kill=(phase, update)))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return run


def warnings(home: Path, run: str) -> list[str]:
    with closing(Reader(home)) as reader:
        return [event["message"] for event in reader.events(run) if event["level"] == "warning"]


def newest_of(home: Path, run: str) -> Path:
    checkpoint = newest(home / run / "checkpoints")
    assert checkpoint is not None
    return checkpoint[0]


def cut_weights(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, str]:
    """A run of every stage that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = small_recipe(folder, **STAGES)
    run = start(recipe, folder / "home")
    finish(folder / "home", run)
    return recipe, folder / "home", run


DAMAGED: dict[str, tuple[int, Callable[[Path], None]]] = {
    "ntp": (2, cut_weights),
    "E-step": (2, lambda checkpoint: (checkpoint / "stage.pt").unlink()),
    "M-step": (2, lambda checkpoint: (checkpoint / "stage.pt").write_bytes(b"no state")),
    "rlvr": (2, lambda checkpoint: (checkpoint / "place.json").write_text("{")),
}


@pytest.mark.parametrize("phase", DAMAGED)
def test_behind_a_damaged_checkpoint_a_run_goes_on_from_the_one_before_to_the_same_bits(
    phase: str, whole: tuple[Recipe, Path, str], tmp_path: Path
) -> None:
    recipe, home, uninterrupted = whole
    update, harm = DAMAGED[phase]
    run = killed(tmp_path, recipe, phase, update)
    damaged = newest_of(tmp_path, run)
    harm(damaged)
    finish(tmp_path, run)
    (words,) = [words for words in warnings(tmp_path, run) if "damaged" in words]
    assert words.startswith(f"{damaged.name} is damaged (its ")
    assert "going on from 0" in words
    assert damaged.with_name(f"damaged-{damaged.name}").is_dir()
    assert fingerprint(tmp_path, run) == fingerprint(home, uninterrupted)
    assert records(tmp_path, run) == records(home, uninterrupted)


def test_a_curriculum_and_a_pull_towards_the_start_go_on_to_the_same_bits(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"rlvr"'}).with_values(CURRICULUM)
    (tmp_path / "whole").mkdir()
    whole = start(recipe, tmp_path / "whole")
    finish(tmp_path / "whole", whole)
    run = killed(tmp_path, recipe, "rlvr", 5)
    finish(tmp_path, run)
    assert fingerprint(tmp_path, run) == fingerprint(tmp_path / "whole", whole)
    assert records(tmp_path, run) == records(tmp_path / "whole", whole)


@pytest.mark.parametrize("lost", [cut_weights, shutil.rmtree], ids=["damaged", "removed"])
def test_a_stage_that_is_done_is_trained_again_where_no_checkpoint_holds_what_it_made(
    lost: Callable[[Path], None], whole: tuple[Recipe, Path, str], tmp_path: Path
) -> None:
    recipe, home, uninterrupted = whole
    run = killed(tmp_path, recipe, "rlvr", 1)
    for checkpoint, _ in saved(tmp_path / run / "checkpoints"):
        lost(checkpoint)
    finish(tmp_path, run)
    assert fingerprint(tmp_path, run) == fingerprint(home, uninterrupted)
    assert records(tmp_path, run) == records(home, uninterrupted)


def test_another_corpus_is_refused_inside_the_stage_that_read_it_until_it_is_put_back(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp"'})
    run = killed(tmp_path, recipe, "ntp", 2)
    source = tmp_path / "corpus" / "functions.py"
    content = source.read_text()
    source.write_text(content.replace("return", "return ", 1) + "\n# more\n")
    with pytest.raises(UsageFault, match=f"run {run}: the corpus .*/corpus changed since it began") as caught:
        execute(tmp_path, [run], Silent())
    assert "\n" not in str(caught.value)
    with closing(Reader(tmp_path)) as reader:
        assert (reader.run(run)["status"], reader.run(run)["error"]) == ("failed", str(caught.value))
    source.write_text(content)
    finish(tmp_path, run)


def test_another_suite_is_refused_inside_rlvr_and_a_corpus_that_is_used_up_may_be_gone(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp", "rlvr"'})
    run = killed(tmp_path, recipe, "rlvr", 1)
    shutil.rmtree(tmp_path / "corpus")
    problems = tmp_path / "problems.jsonl"
    content = problems.read_text()
    problems.write_text(content.replace("candidate() == 0", "candidate() == 7"))
    with pytest.raises(UsageFault, match=f"the suite jsonl:{problems} changed"):
        execute(tmp_path, [run], Silent())
    problems.write_text(content)
    finish(tmp_path, run)


def test_another_base_model_is_refused_under_adapters_and_before_the_first_checkpoint_of_a_run_alike(
    tmp_path: Path,
) -> None:
    policy = load_policy("random:tiny")
    policy.save(tmp_path / "model")
    recipe = small_recipe(
        tmp_path, **{"random:tiny": str(tmp_path / "model"), "[compute]": "[lora]\nrank = 2\n[compute]"}
    )
    run = killed(tmp_path, recipe, "ntp", 1)
    for weight in policy.model.parameters():
        weight.data += 0.01
    policy.save(tmp_path / "model")
    with pytest.raises(UsageFault, match=f"the model {tmp_path}/model changed"):
        execute(tmp_path, [run], Silent())


def test_a_run_that_has_nothing_yet_takes_inputs_as_they_are(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{'"ntp", "ra3", "eval", "rlvr", "eval"': '"ntp"'})
    source = tmp_path / "corpus" / "functions.py"
    content = source.read_text()
    source.write_text("x = 1\n")
    run = start(recipe, tmp_path)
    with pytest.raises(UsageFault, match="no usable trace"):
        execute(tmp_path, [run], Silent())
    source.write_text(content)
    finish(tmp_path, run)


def test_paths_are_those_from_where_the_run_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {'"ntp", "ra3", "eval", "rlvr", "eval"': '"eval", "ntp"', "tokens = 600": "tokens = 150"}
    recipe = small_recipe(tmp_path, **stages, **{f"{tmp_path}/": ""})
    assert recipe.corpus.path == "corpus"
    monkeypatch.chdir(tmp_path)
    run = start(recipe, tmp_path / "home")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (outcome,) = execute(tmp_path / "home", [run], Silent())
    assert outcome.status == "done", outcome.error


def test_a_run_whose_folder_is_gone_is_one_line(tmp_path: Path) -> None:
    run = start(small_recipe(tmp_path), tmp_path)
    shutil.rmtree(tmp_path / run)
    for resume in (lambda: unfinished(tmp_path, run), lambda: execute(tmp_path, [run], Silent())):
        with pytest.raises(EnvironmentFault, match=f"run {run}: its folder .* is gone, and its checkpoints with it"):
            resume()


def test_what_a_later_arm_lacks_is_told_before_the_first_one_begins(tmp_path: Path) -> None:
    arms = (
        '[arms.first]\nstages = ["ntp"]\n[arms.second]\nstages = ["ntp", "eval"]\nset = {"eval.suites" = ["jsonl:x"]}'
    )
    recipe = small_recipe(tmp_path, **{'[arms.all]\nstages = ["ntp", "ra3", "eval", "rlvr", "eval"]': arms})
    first, second = (run.id for run in plan(recipe, tmp_path).runs)
    with pytest.raises(UsageFault, match="x: cannot be read"):
        execute(tmp_path, [first, second], Silent())
    with closing(Reader(tmp_path)) as reader:
        assert [reader.run(run)["status"] for run in (first, second)] == ["stopped", "failed"]
        assert reader.stages(first) == []
        assert "x: cannot be read" in reader.run(second)["error"]
