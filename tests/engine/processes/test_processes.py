"""Several processes leave what one would have left, to rounding; and what happens when one of them dies.

Two launches serve all of these tests, as every process needs seconds to import torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.pipeline import execute
from engine.runs.places import newest
from engine.runs.planning import plan
from engine.runs.progress import Progress, Silent
from engine.store.reader import Reader
from engine.store.requests import request
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow

Changes = dict[str, object]
WHOLE: Changes = {"compute.row_tokens": 128, "checkpoints.every": 2}  # several micro-batches an update
SHARDED: Changes = {**WHOLE, "compute.shard": True}
BRANCH: Changes = {"ra3.estep.mode": "branch", "ra3.horizon": 2, "rlvr.ahead": 1}
WILD: Changes = {"ntp.optimiser.learning_rate": 1e30, "ntp.tokens": 6000}
LONG: Changes = {"compute.shard": True, "ntp.tokens": 22_500, "checkpoints.every": 10}


def planned(folder: Path, stages: str, changes: Changes) -> str:
    """A run of ``stages`` with ``changes`` of the recipe's keys."""
    arm = f"stages = {json.dumps(stages.split())}\nset = {{" + ", ".join(
        f'"{key}" = {json.dumps(value)}' for key, value in changes.items()
    )
    old = 'stages = ["ntp", "ra3", "eval", "rlvr", "eval"]'
    return plan(small_recipe(folder, **{old: arm + "}"}), folder / "home").runs[0].id


class StopsAt(Silent):
    """A person who interrupts a run in a phase, once so much of it is done."""

    def __init__(self, phase: str, done: int) -> None:
        self._phase, self._done = phase, done

    def progress(self, progress: Progress) -> None:
        if progress.phase.startswith(self._phase) and progress.done == self._done:
            os.kill(os.getpid(), signal.SIGINT)


@dataclass(frozen=True)
class Runs:
    """One home with the same runs by one process and by two."""

    home: Path
    alone: dict[str, str]
    together: dict[str, str]
    exit_code: int


def by_two(home: Path, runs: list[str]) -> int:
    """Have ``accelerate launch`` start two processes on ``runs``; its exit code."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    fixed = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    engine = ["-m", "engine.pipeline", "--home", str(home), *runs]
    return subprocess.run([*launcher, *fixed, *engine], check=False, timeout=900).returncode


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("both")
    every = "ntp ra3 rlvr eval"
    kinds = {"wild": ("ntp", WILD), "whole": (every, WHOLE), "branch": ("ra3 rlvr", BRANCH)}
    more = {"sharded": (every, SHARDED), "resumed": (every, SHARDED)}
    alone = {kind: planned(folder, *what) for kind, what in kinds.items()}
    together = {kind: planned(folder, *what) for kind, what in (kinds | more).items()}
    execute(folder / "home", list(alone.values()), Silent())
    execute(folder / "home", [together["resumed"]], StopsAt("E-step", 1))
    code = by_two(folder / "home", list(together.values()))
    return Runs(folder / "home", alone, together, code)


def metrics(home: Path, run: str) -> dict[tuple[str, int], float]:
    with closing(Reader(home)) as reader:
        keys = [row["key"] for row in reader.rows("SELECT DISTINCT key FROM metrics WHERE run = ?", [run])]
        figures = [key for key in keys if not key.startswith(MACHINE)]
        return {(key, step): value for key in figures for step, value in reader.series(run, key)}


def rows(home: Path, run: str, columns: str, table: str) -> list[tuple[object, ...]]:
    with closing(Reader(home)) as reader:
        dicts = reader.rows(f"SELECT {columns} FROM {table} WHERE run = ? ORDER BY id", [run])
    return [tuple(row.values()) for row in dicts]


MACHINE = ("seconds/", "memory/", "cost/flops")
"""Metrics of how the work was done: what is shared out is not computed together."""

SAME_AS = {"whole": "whole", "branch": "branch", "sharded": "whole", "resumed": "whole"}


@pytest.mark.parametrize("kind", SAME_AS)
def test_every_figure_is_that_of_one_process_to_rounding(kind: str, both: Runs) -> None:
    one = metrics(both.home, both.alone[SAME_AS[kind]])
    two = metrics(both.home, both.together[kind])
    # Shards round otherwise: the loss of RLVR is a sum of nats a thousand times its size that cancel.
    assert two == pytest.approx(one, rel=1e-4, abs=5e-5 if kind in ("sharded", "resumed") else 1e-6)
    assert any(key == "grad_norm" for key, _ in two)


@pytest.mark.parametrize("kind", ["whole", "branch", "sharded"])
def test_draws_are_those_of_one_process_in_its_order(kind: str, both: Runs) -> None:
    for columns, table in [
        ("step, phase, round, trace, rollout, text", "traces"),
        ("step, phase, position, suite, task, sample, text, verdict", "samples"),
    ]:
        drawn = rows(both.home, both.together[kind], columns, table)
        assert drawn == rows(both.home, both.alone[SAME_AS[kind]], columns, table)
        assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("kind", SAME_AS)
def test_the_weights_are_those_of_one_process_to_rounding(kind: str, both: Runs) -> None:
    models = []
    for run in (both.alone[SAME_AS[kind]], both.together[kind]):
        checkpoint = newest(both.home / run / "checkpoints")
        assert checkpoint is not None
        models.append(AutoModelForCausalLM.from_pretrained(checkpoint[0]))
    for one, two in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-5)


def test_a_run_says_once_that_two_share_it(both: Runs) -> None:
    events = rows(both.home, both.together["whole"], "kind, message", "events")
    (started,) = [message for kind, message in events if kind == "started"]
    assert "2 processes" in str(started)


def test_a_run_that_diverges_does_so_in_all_and_the_next_goes_on(both: Runs) -> None:
    with closing(Reader(both.home)) as reader:
        outcomes = {kind: reader.run(run) for kind, run in both.together.items()}
    assert {kind: row["status"] for kind, row in outcomes.items()} == {
        **dict.fromkeys(outcomes, "done"),
        "wild": "failed",
    }
    assert "lower the learning rate" in outcomes["wild"]["error"]
    assert both.exit_code == 1
    assert {row["device"] for row in outcomes.values()} == {"2xcpu"}


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the engine ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def at_step(home: Path, run: str, step: int) -> bool:
    with closing(Reader(home)) as reader:
        return bool(reader.rows("SELECT 1 FROM metrics WHERE run = ? AND step >= ? LIMIT 1", [run, step]))


@dataclass(frozen=True)
class Ended:
    """A launch in which one run was stopped, and a process killed in the next."""

    home: Path
    stopped: str
    broken: str
    exit_code: int
    left_over: list[psutil.Process]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("ended")
    home = folder / "home"
    stopped, broken = planned(folder, "ntp", LONG), planned(folder, "ntp", LONG)
    command = [sys.executable, "-m", "engine.pipeline", "--home", str(home), "--processes", "2", stopped, broken]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: at_step(home, stopped, 1), process)
    request(home, stopped, "stop", "test")
    wait_until(lambda: at_step(home, broken, 11), process)
    family = psutil.Process(process.pid).children(recursive=True)
    (other,) = [child for child in family if "engine.pipeline" in child.cmdline() and child.ppid() == process.pid]
    other.kill()
    code = process.wait(timeout=120)
    _, alive = psutil.wait_procs(family, timeout=30)
    return Ended(home, stopped, broken, code, alive)


def test_a_request_to_stop_reaches_all_processes(ended: Ended) -> None:
    with closing(Reader(ended.home)) as reader:
        assert reader.run(ended.stopped)["status"] == "stopped"


def test_the_death_of_a_process_ends_the_run_and_says_how_to_go_on(ended: Ended) -> None:
    with closing(Reader(ended.home)) as reader:
        row, last = reader.run(ended.broken), reader.events(ended.broken)[-1]
    assert ended.exit_code == 1
    assert row["status"] == "failed"
    assert "rank 1" in row["error"]
    assert "SIGKILL" in row["error"]
    assert f"--resume {ended.broken}" in row["error"]
    assert (last["level"], last["message"]) == ("error", row["error"])


def test_nothing_is_left_running(ended: Ended) -> None:
    assert not ended.left_over


def test_one_process_goes_on_where_two_were_broken_off(ended: Ended, tmp_path: Path) -> None:
    checkpoint = newest(ended.home / ended.broken / "checkpoints")
    assert checkpoint is not None
    stop = StopsAt("ntp", checkpoint[1].step + 3)
    execute(ended.home, [ended.broken], stop, processes=1)
    whole = planned(tmp_path, "ntp", LONG)
    execute(tmp_path / "home", [whole], stop)
    assert metrics(ended.home, ended.broken) == pytest.approx(metrics(tmp_path / "home", whole), rel=1e-3, abs=1e-5)
    assert max(step for _, step in metrics(ended.home, ended.broken)) > checkpoint[1].step
