"""The store's writes wait their turn, and are whole."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store.connection import StoreError, connect, database_path
from engine.store.reader import Reader
from engine.store.requests import request, withdraw_requests
from engine.store.schema import SCHEMA_VERSION
from engine.store.transaction import transaction
from engine.store.writer import Writer
from tests.engine.store.test_store import create, eval_row, line_row, sample_row, trace_row

WRITES: dict[str, Callable[[Writer, Path], Any]] = {
    "metrics": lambda writer, _: (writer.metrics({"loss": 1.0}), writer.flush()),
    "an event": lambda writer, _: writer.event("note", "message"),
    "the run's row": lambda writer, _: writer.update_run(step=1),
    "a stage": lambda writer, _: writer.stage(0, "ntp", status="running"),
    "a phase": lambda writer, _: writer.phase("ntp", 0, 0),
    "a trace": lambda writer, _: writer.trace(trace_row(), [line_row()]),
    "problems": lambda writer, _: writer.problems([{"suite": "s", "task": "t", "prompt": "p"}]),
    "a request taken": lambda writer, _: writer.take(1),
    "changes made void": lambda writer, _: writer.void_changes("ra3.penalty", 1),
    "what is forgotten": lambda writer, _: writer.forget_after(0, 0),
    "what is inherited": lambda writer, _: writer.inherit("parent", 0, 0),
    "a request": lambda _, home: request(home, "r1", "stop", "ada"),
    "requests withdrawn": lambda _, home: withdraw_requests(home, "r1"),
}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path, "r1") as writer:
        create(writer)
        request(tmp_path, "r1", "set", "ada", "ra3.penalty", 0.1)
        yield writer


@contextmanager
def held(home: Path) -> Iterator[sqlite3.Connection]:
    """The write lock of a store, in another connection, until it commits."""
    with closing(sqlite3.connect(database_path(home), isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO problems VALUES ('held', 'held', 'held')")
        yield other


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_waits_for_one_of_another_process(
    write: Callable[[Writer, Path], Any], writer: Writer, tmp_path: Path
) -> None:
    with held(tmp_path) as other:
        release = threading.Timer(0.05, other.execute, ["COMMIT"])
        release.start()
        write(writer, tmp_path)
        release.join()


def test_a_snapshot_that_was_read_before_others_wrote_is_no_bar_to_a_write(writer: Writer, tmp_path: Path) -> None:
    writer.requests()
    request(tmp_path, "r1", "stop", "ada")
    writer.event("note", "after it")
    with closing(Reader(tmp_path)) as reader:
        assert [row["message"] for row in reader.events("r1")] == ["after it"]


def test_the_message_says_how_long_a_write_waited(writer: Writer, tmp_path: Path) -> None:
    writer._db.conn.execute("PRAGMA busy_timeout = 120")
    with held(tmp_path), pytest.raises(StoreError, match=r"ra3\.db: database is locked; waited 0\.[1-9] s for another"):
        writer.event("note", "message")


def test_what_could_not_be_written_is_written_with_the_next_batch(writer: Writer, tmp_path: Path) -> None:
    writer._db.conn.execute("PRAGMA busy_timeout = 1")
    with held(tmp_path), pytest.raises(StoreError, match="locked"):
        writer.event("note", "first")
    writer.event("note", "second")
    with closing(Reader(tmp_path)) as reader:
        assert [row["message"] for row in reader.events("r1")] == ["first", "second"]


def test_a_store_is_opened_to_wait_half_a_minute(tmp_path: Path) -> None:
    with closing(connect(tmp_path, write=True).conn) as connection:
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000


def test_a_reader_does_not_wait_for_a_writer(writer: Writer, tmp_path: Path) -> None:
    with held(tmp_path), closing(Reader(tmp_path)) as reader:
        assert reader.run("r1")["id"] == "r1"
        assert reader.rows("SELECT * FROM problems") == []


def test_a_batch_with_a_bad_row_leaves_no_row_of_other_tables(writer: Writer, tmp_path: Path) -> None:
    writer.metrics({"loss": 1.0})
    writer.add("samples", sample_row())
    writer.add("evals", eval_row(value=None))
    with pytest.raises(sqlite3.IntegrityError):
        writer.flush()
    writer._pending.clear()
    writer._count = 0
    with closing(Reader(tmp_path)) as reader:
        for table in ("metrics", "samples", "latest"):
            assert reader.rows(f"SELECT * FROM {table}") == [], table


def test_a_transaction_that_fails_leaves_the_lock_to_others(writer: Writer, tmp_path: Path) -> None:
    def fail_after_a_write() -> None:
        with transaction(writer._db.conn):
            writer._db.conn.execute("INSERT INTO problems VALUES ('s', 't', 'p')")
            raise KeyError

    with pytest.raises(KeyError):
        fail_after_a_write()
    with held(tmp_path) as other:
        assert other.execute("SELECT count(*) FROM problems").fetchone()[0] == 1


def test_many_that_open_a_new_home_at_once_all_find_its_tables(tmp_path: Path) -> None:
    together, versions = threading.Barrier(8), []

    def open_it() -> None:
        together.wait()
        with closing(connect(tmp_path, write=True).conn) as connection:
            versions.append(connection.execute("PRAGMA user_version").fetchone()[0])

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [SCHEMA_VERSION] * 8


def test_text_that_is_no_utf8_is_kept_with_its_bytes_told(writer: Writer, tmp_path: Path) -> None:
    odd, kept = "a\udcffb", "a\\udcffb"
    writer.update_run(name=odd)
    writer.stage(0, "ntp", status="running", checkpoint=odd)
    writer.event("note", odd)
    writer.trace(trace_row(source=odd), [line_row(latent=odd)])
    writer.problems([{"suite": "s", "task": "t", "prompt": odd}])
    with Writer(tmp_path, "r2") as other:
        create(other, name=odd)
    request(tmp_path, "r2", "stop", odd)
    with closing(Reader(tmp_path)) as reader:
        assert reader.rows("SELECT who FROM controls WHERE run = 'r2'") == [{"who": kept}]
        assert [run["name"] for run in reader.runs()] == [kept, kept]
        assert reader.stages("r1")[0]["checkpoint"] == kept
        assert reader.events("r1")[0]["message"] == kept
        (trace,) = reader.traces("r1")
        assert (trace["source"], reader.trace_lines(trace["id"])[0]["latent"]) == (kept, kept)
        assert reader.rows("SELECT prompt FROM problems")[0]["prompt"] == kept
