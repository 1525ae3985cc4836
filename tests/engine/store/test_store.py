"""The store: what is written is what is read, whatever happens to the process that wrote it."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.store.connection import StoreError, connect, database_path
from engine.store.reader import LOST_SECONDS, Reader
from engine.store.requests import request
from engine.store.schema import ADDED, SCHEMA_VERSION
from engine.store.writer import Writer

DOC = Path(__file__).parents[3] / "docs" / "store.md"
HOST = os.uname().nodename


def create(writer: Writer, **columns: Any) -> None:
    row = {"group": "g", "name": "n", "arm": "ra3", "status": "running", "seed": 0, "folder": "f", "config": "{}"}
    writer.create_run(**(row | columns))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path, "r1") as writer:
        create(writer)
        yield writer


@pytest.fixture
def reader(tmp_path: Path, writer: Writer) -> Iterator[Reader]:
    with closing(Reader(tmp_path)) as reader:
        yield reader


def trace_row(**columns: Any) -> dict[str, Any]:
    return {
        "step": 0, "phase": "estep", "round": 1, "trace": "t", "source": "a.py:1 f", "rollout": 0, "prompt": "def f():",
        "text": "def f():\n    # one\n    return 1", "lines": 1, "latents": 1, "bound": -0.5, "bare": -0.7,
    } | columns  # fmt: skip


def line_row(**columns: Any) -> dict[str, Any]:
    return {
        "text": "\n    return 1", "latent": " one", "tokens": 3, "logprob": -0.4, "bare_logprob": -0.7,
        "p_think": 0.3, "reward": -0.45, "advantage": 0.1,
    } | columns  # fmt: skip


def sample_row(**columns: Any) -> dict[str, Any]:
    return {
        "step": 0, "phase": "eval", "position": 0, "suite": "humaneval", "task": "HumanEval/0", "sample": 0,
        "text": "    return 1", "tokens": 4, "stop": "stop", "verdict": "passed",
    } | columns  # fmt: skip


def eval_row(**columns: Any) -> dict[str, Any]:
    return {
        "position": 0, "suite": "humaneval", "k": 1, "step": 0, "after": "base", "value": 0.25, "low": 0.1,
        "high": 0.4, "problems": 32, "n": 2, "masked": 0,
    } | columns  # fmt: skip


def test_a_run_is_read_as_it_was_written(reader: Reader) -> None:
    (run,) = reader.runs()
    assert (run["id"], run["group"], run["arm"], run["status"]) == ("r1", "g", "ra3", "running")
    assert reader.run("r1")["config"] == "{}"


def test_metrics_are_read_in_order_and_the_newest_is_latest(writer: Writer, reader: Reader) -> None:
    for step in range(5):
        writer.step = step
        writer.metrics({"loss": 5.0 - step, "reward": step / 2})
    writer.flush()
    assert reader.series("r1", "loss") == [(step, 5.0 - step) for step in range(5)]
    assert reader.series("r1", "loss", after=2) == [(3, 2.0), (4, 1.0)]
    assert reader.latest("r1") == {"loss": 1.0, "reward": 2.0}


def test_what_is_not_finite_is_kept_apart_from_what_is_missing(writer: Writer, reader: Reader) -> None:
    for step, value in enumerate((1.0, math.nan, math.inf, -math.inf)):
        writer.step = step
        writer.metrics({"loss": value})
    writer.flush()
    values = [value for _, value in reader.series("r1", "loss")]
    assert values[0] == 1.0
    assert math.isnan(values[1])
    assert values[2:] == [math.inf, -math.inf]
    assert reader.latest("r1")["loss"] == -math.inf
    assert reader.rows("SELECT special FROM metrics WHERE step = 1")[0]["special"] == "nan"


def test_a_metric_written_again_at_its_step_replaces_the_old_value(writer: Writer, reader: Reader) -> None:
    for value in (1.0, 2.0):
        writer.metrics({"loss": value})
    writer.flush()
    assert reader.series("r1", "loss") == [(0, 2.0)]


def test_a_trace_is_read_with_its_lines(writer: Writer, reader: Reader) -> None:
    writer.trace(trace_row(), [line_row(), line_row(latent=None, p_think=None)])
    (trace,) = reader.traces("r1")
    assert trace["text"].endswith("# one\n    return 1")
    assert [line["latent"] for line in reader.trace_lines(trace["id"])] == [" one", None]


def test_the_likeliest_are_of_the_last_m_step_that_latents_helped_and_of_a_source_each(
    writer: Writer, reader: Reader
) -> None:
    def add(source: str, bound: float, **columns: Any) -> None:
        writer.trace(trace_row(source=source, bound=bound, phase="mstep", text=f"{source} {bound}") | columns, [])

    add("a", -0.3)
    add("a", -0.1)
    add("b", -0.2)
    add("c", -0.6)
    add("no latents", 0.0, latents=0)
    add("before", 0.0, round=0)
    add("estep", 0.0, phase="estep")
    add("next round", 0.0, phase="estep", round=2)
    assert [row["text"] for row in reader.likeliest("r1", 2)] == ["a -0.1", "b -0.2"]
    assert reader.likeliest("r1", 9)[0]["gain"] == pytest.approx(0.6)
    assert [row["source"] for row in reader.likeliest("r1", 9)] == ["a", "b", "c"]


def test_a_trace_that_breaks_the_schema_leaves_nothing_behind(writer: Writer, reader: Reader) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        writer.trace(trace_row(), [line_row(), line_row(text=None)])
    assert reader.traces("r1") == []
    assert reader.rows("SELECT * FROM trace_lines") == []


def test_events_come_behind_a_cursor_once_each(writer: Writer, reader: Reader) -> None:
    for number in range(5):
        writer.event("note", f"event {number}")
    first = reader.events("r1", limit=3)
    second = reader.events("r1", after=first[-1]["id"])
    assert [event["message"] for event in first + second] == [f"event {number}" for number in range(5)]
    assert reader.events("r1", after=second[-1]["id"]) == []


def test_a_reader_sees_whole_batches_while_a_writer_writes(tmp_path: Path, writer: Writer, reader: Reader) -> None:
    for step in range(300):
        writer.step = step
        writer.metrics({"a": step, "b": step})
        if step % 7 == 0:
            writer.flush()
            counts = reader.rows("SELECT key, count(*) AS n, max(step) AS last FROM metrics GROUP BY key")
            assert [(row["n"], row["last"]) for row in counts] == [(step + 1, step)] * 2


def test_a_reader_cannot_write(reader: Reader) -> None:
    with pytest.raises(StoreError, match="readonly"):
        reader.rows("DELETE FROM runs")


def test_references_are_ids_prefixes_or_the_latest(tmp_path: Path) -> None:
    for run, group in (("abcde", "g1"), ("abxyz", "g1"), ("qrstu", "g2")):
        with Writer(tmp_path, run) as writer:
            create(writer, group=group)
    with closing(Reader(tmp_path)) as reader:
        assert reader.run("abc")["id"] == "abcde"
        assert reader.run("@latest")["id"] == "qrstu"
        assert reader.group("abx") == "g1"
        assert reader.group("@latest") == "g2"
        with pytest.raises(StoreError, match="could be any of abcde, abxyz"):
            reader.run("ab")
        with pytest.raises(StoreError, match="no run 'zz'"):
            reader.run("zz")


def test_a_request_is_taken_once(tmp_path: Path, writer: Writer) -> None:
    request(tmp_path, "r1", "stop", "somebody")
    request(tmp_path, "r2", "stop", "somebody")
    (row,) = writer.requests()
    assert row["action"] == "stop"
    writer.take(row["id"])
    assert writer.requests() == []


def test_a_run_whose_process_is_gone_is_lost(writer: Writer, reader: Reader) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    writer.update_run(pid=gone.pid, host=HOST, heartbeat=time.time())
    assert reader.run("r1")["status"] == "lost"


def test_a_run_whose_process_number_is_somebody_elses_is_lost(writer: Writer, reader: Reader) -> None:
    writer.update_run(pid=os.getpid(), host=HOST, heartbeat=time.time())
    assert reader.run("r1")["status"] == "running"
    writer.update_run(heartbeat=time.time() - 2 * LOST_SECONDS)
    assert reader.run("r1")["status"] == "lost"


def test_a_queued_run_waits_without_being_lost(writer: Writer, reader: Reader) -> None:
    writer.update_run(status="queued")
    assert reader.run("r1")["status"] == "queued"


def record_step(writer: Writer, step: int, position: int) -> None:
    writer.step = step
    writer.metrics({"loss": float(step)})
    writer.trace(trace_row(step=step), [line_row()])
    writer.add("samples", sample_row(step=step, phase="rlvr", position=position))
    writer.flush()


def test_what_came_after_a_checkpoint_is_forgotten_and_the_rest_is_not(writer: Writer, reader: Reader) -> None:
    for step in range(1, 6):
        record_step(writer, step, position=0)
    writer.stage(0, "ra3", status="running")
    writer.stage(1, "eval", status="running")
    writer.add("evals", eval_row(position=1, step=5))
    writer.flush()
    with Writer(writer._path.parent, "r2") as other:
        create(other)
        record_step(other, 9, position=0)

    writer.forget_after(3, 0)

    assert reader.series("r1", "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert reader.latest("r1") == {"loss": 3.0}
    assert [row["step"] for row in reader.traces("r1")] == [1, 2, 3]
    assert [row["step"] for row in reader.samples("r1")] == [1, 2, 3]
    assert reader.rows("SELECT count(*) AS n FROM trace_lines")[0]["n"] == 4
    assert [row["position"] for row in reader.stages("r1")] == [0]
    assert reader.evals("r1") == []
    assert reader.series("r2", "loss") == [(9, 9.0)]
    assert len(reader.samples("r2")) == 1


def test_the_samples_of_a_broken_off_evaluation_stay_and_those_of_later_ones_are_forgotten(
    writer: Writer, reader: Reader
) -> None:
    writer.step = 3
    for position in (1, 2, 3):
        writer.add("samples", sample_row(step=3, position=position))
    writer.add("samples", sample_row(step=4, position=2, sample=1))
    writer.flush()
    writer.forget_after(3, 2)
    assert [(row["position"], row["step"]) for row in reader.samples("r1")] == [(1, 3), (2, 3)]


def test_kept_samples_and_what_their_stage_has_come_to_are_one_transaction(writer: Writer, reader: Reader) -> None:
    writer.stage(2, "eval", status="running", tokens_generated=5)
    rows = [sample_row(position=2, sample=n, phase="eval", verdict=f"v{n}") for n in range(2)]
    writer.keep_samples(rows, 2, "eval", status="running", tokens_generated=7)
    assert (writer.stage_row(2) or {})["tokens_generated"] == 7
    assert writer.stage_row(1) is None
    task, suite = rows[0]["task"], rows[0]["suite"]
    assert writer.eval_verdicts(2, suite, 2) == {task: ["v0", "v1"]}
    assert [writer.eval_verdicts(*other) for other in ((2, suite, 3), (1, suite, 2), (2, "", 2))] == [{}] * 3
    with pytest.raises(StoreError):
        writer.keep_samples([sample_row(position=2, sample=2)], 2, "eval", status="running", nothing=9)
    assert len(reader.samples("r1")) == 2


def test_a_mean_is_over_the_steps_behind_one_up_to_another(writer: Writer) -> None:
    for step in range(1, 5):
        writer.step = step
        writer.metrics({"a": step * step, "b": 100.0})
    assert writer.mean("a", 1, 3) == (4 + 9) / 2
    assert writer.mean("a", -9, 1) == 1
    assert writer.mean("c", 1, 3) is None


def test_the_comparison_charges_each_evaluation_with_the_training_before_it(writer: Writer, reader: Reader) -> None:
    costs = {"tokens_trained": 1000, "tokens_generated": 50, "seconds": 8.0}
    writer.stage(0, "eval", status="done", tokens_generated=999, seconds=99.0)
    more = {"flops": 5e12, "peak_mb": 700.0, "work": '{"train": 6.0, "measure": 2.5}'}
    writer.stage(1, "ra3", status="done", **{**costs, "seconds": 10.5}, **more)
    writer.stage(2, "eval", status="done", tokens_generated=999, seconds=99.0)
    for row in (eval_row(), eval_row(k=2, value=0.3), eval_row(position=2, after="ra3", value=0.5)):
        writer.add("evals", row)
    writer.flush()
    base, trained = reader.comparison("g")
    assert (base["after"], base["tokens_trained"], base["tokens_generated"], base["seconds"]) == ("base", 0, 0, 0)
    assert {k: cell["value"] for k, cell in base["pass"].items()} == {1: 0.25, 2: 0.3}
    assert {name: trained[name] for name in costs} == costs
    assert (base["flops"], base["peak_mb"], trained["flops"], trained["peak_mb"]) == (0, None, 5e12, 700.0)
    assert trained["pass"][1]["value"] == 0.5


KILLED = """
import sys
from pathlib import Path
from engine.store.writer import Writer

with Writer(Path(sys.argv[1]), "k1") as writer:
    writer.create_run(group="g", name="n", arm="a", status="running", seed=0, folder="f", config="{}")
    while True:
        writer.step += 1
        writer.metrics({"loss": float(writer.step)})
        writer.event("note", f"step {writer.step}")
"""


@pytest.mark.medium
def test_a_writer_killed_at_any_moment_leaves_a_store_that_opens(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stderr=subprocess.PIPE)
    try:
        first = wait_for_rows(tmp_path, 1, process)
        wait_for_rows(tmp_path, first + 20, process)
    finally:
        process.send_signal(signal.SIGKILL)
        _, complaints = process.communicate()
    assert complaints == b""

    with closing(Reader(tmp_path)) as reader:
        assert reader.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        steps = [step for step, _ in reader.series("k1", "loss")]
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) >= first + 20
    with Writer(tmp_path, "k1") as writer:
        writer.forget_after(first, 0)
        writer.step = first + 1
        writer.metrics({"loss": 0.5})
    with closing(Reader(tmp_path)) as reader:
        assert reader.series("k1", "loss")[-1] == (first + 1, 0.5)


def wait_for_rows(home: Path, least: int, process: subprocess.Popen[bytes]) -> int:
    """Poll until the writer has written ``least`` metrics; how many there are."""
    while process.poll() is None:
        try:
            with closing(Reader(home)) as reader:
                count = int(reader.rows("SELECT count(*) AS n FROM metrics")[0]["n"])
        except StoreError:  # not made yet
            continue
        if count >= least:
            return count
    raise AssertionError(f"the writer ended by itself with {process.returncode}")


def test_a_home_without_a_store_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no runs here yet; start one with `ra3 run smoke`"):
        Reader(tmp_path)


def test_a_store_whose_writer_is_not_through_with_its_tables_is_not_read(tmp_path: Path) -> None:
    database_path(tmp_path).touch()
    with pytest.raises(StoreError, match="no runs here yet"):
        Reader(tmp_path)


def test_a_broken_store_is_named_with_what_to_do(tmp_path: Path) -> None:
    database_path(tmp_path).write_bytes(b"not a database " * 500)
    for opened in (lambda: Reader(tmp_path), lambda: Writer(tmp_path, "r1")):
        with pytest.raises(StoreError, match=r"ra3\.db: not a sound SQLite store.*move it aside"):
            opened()


def test_a_store_with_a_torn_page_is_named_with_what_to_do(tmp_path: Path) -> None:
    with Writer(tmp_path, "r1") as writer:
        create(writer)
        writer.metrics({f"key {number}": 1.0 for number in range(2000)})
    path = database_path(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    with closing(Reader(tmp_path)) as reader, pytest.raises(StoreError, match="not a sound SQLite store"):
        reader.latest("r1")


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with closing(connect(tmp_path, write=True).conn) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for opened in (lambda: Reader(tmp_path), lambda: Writer(tmp_path, "r1")):
        with pytest.raises(StoreError, match="written by a newer ra3"):
            opened()


@pytest.mark.parametrize("opener", [Reader, lambda home: Writer(home, "r1")])
def test_a_store_of_the_first_version_gets_the_columns_it_lacks(opener: Callable[[Path], Any], tmp_path: Path) -> None:
    with Writer(tmp_path, "r1") as writer:
        create(writer)
        request(tmp_path, "r1", "stop", "ada")
    with closing(sqlite3.connect(database_path(tmp_path))) as connection:
        for statement in itertools.chain.from_iterable(ADDED.values()):
            connection.execute(" ".join(statement.replace("ADD", "DROP").split()[:6]))
        connection.execute("PRAGMA user_version = 1")
    opener(tmp_path)
    with closing(Reader(tmp_path)) as reader:
        (row,) = reader.runs()
        assert (row["id"], row["parent"], row["parent_step"]) == ("r1", None, None)
        assert reader.rows("SELECT who, step FROM controls") == [{"who": "ada", "step": None}]
        assert reader.rows("PRAGMA user_version") == [{"user_version": SCHEMA_VERSION}]


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make this folder"):
        Writer(tmp_path / "file" / "home", "r1")


def test_a_full_disk_is_told_in_one_line_and_loses_nothing_that_was_written(writer: Writer, reader: Reader) -> None:
    writer.metrics({"loss": 1.0})
    writer.flush()
    connection = writer._db.conn
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"full; free some space, then `ra3 run --resume RUN`"):
        writer.event("note", "x" * 100_000)
    assert reader.latest("r1") == {"loss": 1.0}
    assert reader.events("r1") == []

    connection.execute("PRAGMA max_page_count = 1000000")
    writer.flush()
    assert [len(event["message"]) for event in reader.events("r1")] == [100_000]


def documented_queries() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", DOC.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("query", documented_queries())
def test_a_query_of_the_documentation_runs_and_finds_something(query: str, writer: Writer, reader: Reader) -> None:
    fill_every_table(writer)
    assert reader.rows(query)


def fill_every_table(writer: Writer) -> None:
    writer.update_run(status="done", started=1.0, ended=2.0, tags='["night"]', config='{"ra3": {"penalty": 0.05}}')
    writer.stage(0, "ra3", status="done", seconds=4.0, tokens_trained=100, tokens_generated=10)
    writer.phase("estep", 0, 1)
    for step, loss in enumerate((2.0, math.nan, 1.0)):
        writer.step = step
        writer.metrics({"loss": loss})
    writer.trace(trace_row(), [line_row(), line_row(latent=None)])
    writer.problems([{"suite": "humaneval", "task": "HumanEval/0", "prompt": "def f():"}])
    writer.add("samples", sample_row(verdict="wrong_answer", failed_test="test 2"))
    writer.add("samples", sample_row(phase="rlvr", sample=1, reward=1.0))
    writer.add("evals", eval_row())
    writer.event("skipped", "the gradient was not finite", level="warning")
    request(writer._path.parent, writer.run, "set", "somebody", "ra3.penalty", 0.1)
    (row,) = writer.requests()
    writer.take(row["id"], step=2)
    request(writer._path.parent, writer.run, "stop", "somebody")


def test_the_documentation_tells_every_table_and_column(reader: Reader) -> None:
    text = DOC.read_text(encoding="utf-8")
    tables = [row["name"] for row in reader.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        if table.startswith("sqlite_"):
            continue
        heading = f"## `{table}`"
        assert heading in text
        section = text.split(heading)[1].split("\n## ")[0]
        for column in reader.rows(f"PRAGMA table_info({table})"):
            assert f"`{column['name']}`" in section, f"{table}.{column['name']}"
