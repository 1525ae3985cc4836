"""Runs as files and processes: planned, named, held by one engine, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, UsageFault
from engine.recipe.files import load_recipe
from engine.runs.planning import Plan, RunLock, RunTaken, named, plan, start_detached, terminate, unfinished
from engine.store.connection import StoreError
from engine.store.reader import Reader
from engine.store.requests import request
from engine.store.writer import Writer

HOST = os.uname().nodename


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return plan(load_recipe("smoke"), tmp_path, name="tried", tags=["night"])


def mark(home: Path, run: str, **columns: object) -> None:
    with Writer(home, run) as writer:
        writer.update_run(**columns)


def test_every_arm_is_planned_as_a_queued_run_in_the_recipes_order(tmp_path: Path, planned: Plan) -> None:
    with closing(Reader(tmp_path)) as reader:
        rows = reader.runs(planned.group)
    assert [row["arm"] for row in rows] == ["base", "ntp", "ra3"] == [run.arm for run in planned.runs]
    assert {row["status"] for row in rows} == {"queued"}
    assert {row["name"] for row in rows} == {"tried"}
    assert json.loads(rows[0]["tags"]) == ["night"]
    assert len({row["id"] for row in rows}) == 3


def test_a_planned_run_keeps_its_resolved_recipe(tmp_path: Path, planned: Plan) -> None:
    run = planned.runs[2]
    expected = load_recipe("smoke").for_arm("ra3")
    assert load_recipe(str(run.folder / "recipe.toml")) == expected
    with closing(Reader(tmp_path)) as reader:
        assert type(expected).model_validate_json(reader.run(run.id)["config"]) == expected


def test_only_the_arms_asked_for_are_planned(tmp_path: Path) -> None:
    chosen = plan(load_recipe("smoke"), tmp_path, arms=["ra3", "base"])
    assert [run.arm for run in chosen.runs] == ["base", "ra3"]


def test_an_arm_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"no arm 'ra2' \(did you mean 'ra3'\?\); it has base, ntp, ra3"):
        plan(load_recipe("smoke"), tmp_path / "home", arms=["ra2"])
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="cannot make this folder"):
        plan(load_recipe("smoke"), tmp_path / "file" / "home")


def test_a_reference_is_a_run_a_group_a_prefix_or_the_latest_group(tmp_path: Path, planned: Plan) -> None:
    newer = plan(load_recipe("smoke"), tmp_path, arms=["base"])
    ids = [run.id for run in planned.runs]
    with closing(Reader(tmp_path)) as reader:
        assert [row["id"] for row in named(reader, ids[1])] == [ids[1]]
        assert [row["id"] for row in named(reader, planned.group)] == ids
        assert [row["id"] for row in named(reader, planned.group[:5])] == ids
        assert [row["id"] for row in named(reader, "@latest")] == [newer.runs[0].id]
        with pytest.raises(StoreError, match="could be any of"):
            named(reader, "")
        with pytest.raises(StoreError, match="no run or group 'zzzz'"):
            named(reader, "zzzz")


def test_a_resume_goes_on_with_all_that_is_not_done(tmp_path: Path, planned: Plan) -> None:
    ids = [run.id for run in planned.runs]
    mark(tmp_path, ids[0], status="done")
    mark(tmp_path, ids[1], status="failed")
    assert unfinished(tmp_path, planned.group) == ids[1:]
    assert unfinished(tmp_path, ids[2]) == [ids[2]]
    with pytest.raises(UsageFault, match="nothing to resume"):
        unfinished(tmp_path, ids[0])


def test_a_resume_withdraws_what_was_never_answered_but_a_changed_setting(tmp_path: Path, planned: Plan) -> None:
    run = planned.runs[0].id
    for action in ("stop", "pause", "checkpoint"):
        request(tmp_path, run, action, "somebody")
    request(tmp_path, run, "set", "somebody", "ra3.penalty", 0.2)
    unfinished(tmp_path, run)
    with Writer(tmp_path, run) as writer:
        (left,) = writer.requests()
    assert (left["action"], left["key"], left["value"]) == ("set", "ra3.penalty", "0.2")


HOLD = """
import sys
from pathlib import Path
from engine.runs.planning import RunLock

with RunLock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(home: Path, run: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(home), run]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.medium
def test_a_run_is_held_by_one_engine_which_the_refusal_names(tmp_path: Path, planned: Plan) -> None:
    run = planned.runs[0].id
    with held_by_another(tmp_path, run) as process:
        with pytest.raises(RunTaken, match=rf"process {process.pid} on {HOST}; `ra3 stop {run}` ends it"):
            RunLock(tmp_path, run).__enter__()
        with pytest.raises(RunTaken):
            unfinished(tmp_path, run)
        with pytest.raises(RunTaken):
            start_detached(tmp_path, [run], tmp_path / "log")
    assert not (tmp_path / "log").exists()


@pytest.mark.medium
def test_a_killed_engine_lets_go_of_its_run(tmp_path: Path, planned: Plan) -> None:
    run = planned.runs[0].id
    with held_by_another(tmp_path, run) as process:
        process.kill()
        process.wait()
        with RunLock(tmp_path, run):
            assert f"process {os.getpid()}" in (tmp_path / run / "lock").read_text()


def test_a_run_can_be_taken_again_after_it_was_let_go(tmp_path: Path, planned: Plan) -> None:
    run = planned.runs[0].id
    lock = tmp_path / run / "lock"
    for _ in range(2):
        with RunLock(tmp_path, run):
            assert lock.read_text() == f"process {os.getpid()} on {HOST}"
            with pytest.raises(RunTaken, match=str(os.getpid())):
                RunLock(tmp_path, run).__enter__()
        assert lock.read_text() == ""


@pytest.mark.medium
def test_only_a_living_engine_of_this_host_is_terminated(tmp_path: Path, planned: Plan) -> None:
    run = planned.runs[0].id
    with held_by_another(tmp_path, run) as process:
        row = {"status": "running", "pid": process.pid, "host": HOST}
        assert not terminate({**row, "host": "elsewhere"})
        assert not terminate({**row, "status": "done"})
        assert not terminate({**row, "pid": None})
        assert terminate(row)
        assert process.wait() == -signal.SIGTERM
        assert not terminate(row)


@pytest.mark.medium
def test_a_detached_engine_is_a_session_of_its_own_that_writes_its_log(tmp_path: Path, planned: Plan) -> None:
    run, log = planned.runs[0].id, tmp_path / "log"
    mark(tmp_path, run, config="{}")
    pid = start_detached(tmp_path, [run], log)
    assert os.getsid(pid) == pid != os.getsid(0)
    (reaper,) = [thread for thread in threading.enumerate() if thread.name == f"reap {pid}"]
    reaper.join()  # the engine ends by itself: that is no recipe
    assert "validation error" in log.read_text(encoding="utf-8")
    with pytest.raises(ProcessLookupError):  # and is no zombie
        os.kill(pid, 0)
    with closing(Reader(tmp_path)) as reader:
        assert reader.run(run)["status"] == "lost"
