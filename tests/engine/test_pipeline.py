"""Runs as a person meets them: whole, killed, stopped, taken, and on a machine that lacks something."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.errors import EnvironmentFault, UsageFault
from engine.pipeline import execute
from engine.recipe.files import load_recipe
from engine.recipe.recipe import Recipe
from engine.runs.places import newest, saved
from engine.runs.planning import RunTaken, plan
from engine.runs.progress import Progress, Silent
from engine.store.reader import Reader
from tests.engine.engines import Script, begin, command, fingerprint, finish, records, start, status
from tests.engine.small import small_recipe


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, str]:
    """A run of every stage that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = small_recipe(folder)
    run = start(recipe, folder / "home")
    (outcome,) = execute(folder / "home", [run], Silent())
    assert outcome.status == "done", outcome.error
    return recipe, folder / "home", run


def test_every_stage_leaves_its_records(whole: tuple[Recipe, Path, str]) -> None:
    _, home, run = whole
    found = records(home, run)
    assert [stage["status"] for stage in found["stages"]] == ["done"] * 5
    assert {"loss", "held_out/loss", "estep/reward", "estep/think_rate", "mstep/loss_code", "rlvr/reward"} <= set(
        found["metrics"]
    )
    assert [e["after"] for e in found["evals"]] == ["ntp+ra3"] * 2 + ["ntp+ra3+rlvr"] * 2
    assert {trace["phase"] for trace in found["traces"]} == {"estep", "mstep"}
    assert {sample["phase"] for sample in found["samples"]} == {"eval", "rlvr"}
    assert "sandbox_error" not in {sample["verdict"] for sample in found["samples"]}
    reader = Reader(home)
    (boundary,) = [event["message"] for event in reader.events(run) if event["kind"] == "tokenizer"]
    assert boundary.startswith("text is cut before newlines (not the text's own tokens: 0.0% before, ")


def test_the_lines_of_a_recorded_trace_add_up_to_its_bound(whole: tuple[Recipe, Path, str]) -> None:
    _, home, run = whole
    reader = Reader(home)
    for trace in reader.traces(run):
        lines = reader.trace_lines(trace["id"])
        assert sum(line["reward"] for line in lines) == pytest.approx(trace["bound"])
        assert len(lines) == trace["lines"]
        assert sum(line["latent"] is not None for line in lines) == trace["latents"]


def test_rewards_that_differ_move_the_weights_and_equal_ones_do_not(whole: tuple[Recipe, Path, str]) -> None:
    _, home, run = whole
    reader = Reader(home)
    teaching = dict(reader.series(run, "rlvr/teaching_groups"))
    moved = {step for step, _ in reader.series(run, "grad_norm")}
    assert {step for step, share in teaching.items() if share > 0} == moved & set(teaching) != set()


def test_a_checkpoint_is_a_model_folder_that_transformers_opens(whole: tuple[Recipe, Path, str]) -> None:
    _, home, run = whole
    (folder, place) = newest(home / run / "checkpoints") or (None, None)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size >= len(tokenizer)
    assert place is not None
    assert place.after == "ntp+ra3+rlvr"


def test_the_recipe_in_the_runs_folder_is_the_one_that_ran(whole: tuple[Recipe, Path, str]) -> None:
    recipe, home, run = whole
    assert load_recipe(str(home / run / "recipe.toml")) == recipe


@pytest.mark.medium
def test_the_checkpoint_inside_rlvr_stays_behind_which_its_reward_was_highest(tmp_path: Path) -> None:
    changes = {
        '"ntp", "ra3", "eval", "rlvr", "eval"': '"rlvr"',
        "updates = 2\nproblems": "updates = 4\nproblems",
        "every = 1": 'every = 1\nbest = "rlvr/reward"',
    }
    recipe = small_recipe(tmp_path, **changes)
    run = start(recipe, tmp_path)
    execute(tmp_path, [run], Silent())
    with closing(Reader(tmp_path)) as reader:
        rewards = dict(reader.series(run, "rlvr/reward"))
    best = max(rewards, key=lambda step: rewards[step])  # of equals the first
    assert {place.step for _, place in saved(tmp_path / run / "checkpoints")} == {best, 4}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(whole: tuple[Recipe, Path, str], tmp_path: Path) -> None:
    recipe, home, run = whole
    again = start(recipe, tmp_path)
    execute(tmp_path, [again], Silent())
    assert fingerprint(tmp_path, again) == fingerprint(home, run)
    assert records(tmp_path, again) == records(home, run)


def wait_until(condition: Callable[[], bool], process: BaseProcess) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive(), "the engine ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def recorded(home: Path, run: str, table: str, condition: str) -> bool:
    reader = Reader(home)
    rows = reader.rows(f"SELECT 1 FROM {table} WHERE run = ? AND {condition} LIMIT 1", [run])
    reader.close()
    return bool(rows)


MOMENTS = {
    "before anything was saved": ("open", 0, "updates"),
    "in next-token training": ("ntp", 2, "updates"),
    "in the E-step": ("E-step", 1, "updates"),
    "behind the E-step": ("E-step", 2, "updates"),
    "while annotating": ("annotate", 2, "traces"),
    "in the M-step": ("M-step", 1, "updates"),
    "while RLVR samples": ("rlvr", 2, "samples"),
    "in RLVR": ("rlvr", 1, "updates"),
}
"""The phase inside which a run is killed, and how far it was."""


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_resumes_to_the_same_bits_and_records(
    moment: str, whole: tuple[Recipe, Path, str], tmp_path: Path
) -> None:
    recipe, home, run = whole
    phase, done, unit = MOMENTS[moment]
    killed = start(recipe, tmp_path)
    process = begin(tmp_path, killed, Script(tmp_path, killed, kill=(phase, done), unit=unit))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert status(tmp_path, killed) == "lost"
    finish(tmp_path, killed)
    assert fingerprint(tmp_path, killed) == fingerprint(home, run)
    assert records(tmp_path, killed) == records(home, run)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_and_it_can_be_resumed(
    number: signal.Signals, whole: tuple[Recipe, Path, str], tmp_path: Path
) -> None:
    recipe, home, run = whole
    stopped = start(recipe, tmp_path)
    process = command(tmp_path, stopped)
    wait_until(lambda: recorded(tmp_path, stopped, "metrics", "key = 'loss'"), process)
    assert process.pid
    os.kill(process.pid, number)
    process.join(timeout=60)
    assert process.exitcode == 0
    with closing(Reader(tmp_path)) as reader:
        row = reader.run(stopped)
    last = newest(tmp_path / stopped / "checkpoints")
    assert last is not None
    assert (row["status"], row["step"]) == ("stopped", last[1].step)
    execute(tmp_path, [stopped], Silent())
    assert fingerprint(tmp_path, stopped) == fingerprint(home, run)
    assert records(tmp_path, stopped) == records(home, run)


@pytest.mark.slow
def test_a_second_engine_on_the_same_run_is_refused(tmp_path: Path) -> None:
    run = start(small_recipe(tmp_path), tmp_path / "home")
    process = command(tmp_path / "home", run)
    try:
        wait_until(lambda: recorded(tmp_path / "home", run, "events", "kind = 'started'"), process)
        with pytest.raises(RunTaken, match=str(process.pid)):
            execute(tmp_path / "home", [run], Silent())
    finally:
        process.terminate()
        process.join()


FAULTS = {
    "no GPU": ({'device = "cpu"': 'device = "cuda"'}, EnvironmentFault, "no GPU"),
    "no model": ({"random:tiny": "nobody/nothing"}, EnvironmentFault, "nobody/nothing"),
    "an empty corpus": ({"/corpus": "/nowhere"}, UsageFault, "nowhere"),
    "a corpus all held out": ({"held_out = 1": "held_out = 9"}, UsageFault, "held out"),
    "no such suite": ({'suite = "jsonl': 'suite = "jason'}, UsageFault, "jason"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_person_can_mend_is_one_line_and_marks_the_run(fault: str, tmp_path: Path) -> None:
    changes, kind, words = FAULTS[fault]
    recipe = small_recipe(tmp_path, **changes)
    run = start(recipe, tmp_path / "home")
    with pytest.raises(kind, match=words) as caught:
        execute(tmp_path / "home", [run], Silent())
    assert "\n" not in str(caught.value)
    row = Reader(tmp_path / "home").run(run)
    assert row["status"] == "failed"
    assert words in row["error"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_loses_nothing_and_says_what_to_do(small_disk: Path, whole: tuple[Recipe, Path, str]) -> None:
    recipe, home, run = whole
    full = start(recipe, small_disk)
    filler = small_disk / "filler"

    class FillsTheDisk(Silent):
        def progress(self, progress: Progress) -> None:
            if progress.phase.startswith("E-step") and not filler.exists():
                free = shutil.disk_usage(small_disk).free
                filler.write_bytes(bytes(free - free % 4096))

    with pytest.raises(EnvironmentFault, match="free some space"):
        execute(small_disk, [full], FillsTheDisk())
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    execute(small_disk, [full], Silent())
    assert fingerprint(small_disk, full) == fingerprint(home, run)
    assert records(small_disk, full) == records(home, run)


@pytest.mark.medium
def test_a_failing_run_leaves_the_others_to_go_on(tmp_path: Path) -> None:
    recipe = small_recipe(
        tmp_path,
        **{
            '[arms.all]\nstages = ["ntp", "ra3", "eval", "rlvr", "eval"]': """
[arms.wild]
stages = ["ntp"]
set = {"ntp.optimiser.learning_rate" = 1e30, "ntp.tokens" = 6000}
[arms.calm]
stages = ["ntp"]
"""
        },
    )
    runs = [planned.id for planned in plan(recipe, tmp_path / "home").runs]
    outcomes = execute(tmp_path / "home", runs, Silent())
    assert [(o.arm, o.status) for o in outcomes] == [("wild", "failed"), ("calm", "done")]
    assert "lower the learning rate" in str(outcomes[0].error)
