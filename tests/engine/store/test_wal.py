"""The write-ahead log: switched on whoever comes first, and never long."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.store import wal as log
from engine.store.connection import database_path
from engine.store.reader import Reader
from engine.store.wal import use_wal
from engine.store.writer import Writer
from tests.engine.store.test_store import create


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path, "r1") as writer:
        create(writer)
        yield writer


def log_bytes(home: Path) -> int:
    return database_path(home).with_suffix(".db-wal").stat().st_size


def test_a_long_log_is_emptied_with_a_heartbeat(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.event("note", "message")
    long = log_bytes(tmp_path)
    monkeypatch.setattr(log, "WAL_BYTES", long + 100_000)
    writer._beat()
    assert log_bytes(tmp_path) > long
    monkeypatch.setattr(log, "WAL_BYTES", long)
    writer._beat()
    assert log_bytes(tmp_path) == 0
    with closing(Reader(tmp_path)) as reader:
        assert [row["message"] for row in reader.events("r1")] == ["message"]


def test_a_log_that_somebody_reads_all_the_while_stays_and_nobody_waits_for_it(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "WAL_BYTES", 0)
    monkeypatch.setattr(log, "_READERS_MS", 1)
    with closing(Reader(tmp_path)) as reader:
        reader.rows("BEGIN")
        reader.rows("SELECT * FROM runs")
        writer.event("note", "message")
        writer._beat()
        assert log_bytes(tmp_path) > 0
        reader.rows("COMMIT")
        writer._beat()
        assert log_bytes(tmp_path) == 0
    assert writer._db.conn.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000


def test_a_new_file_waits_for_its_first_reader_before_it_changes_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.05, other.execute, ["COMMIT"])
        release.start()
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            use_wal(connection)
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        release.join()


def test_a_journal_that_cannot_be_changed_is_an_error_after_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "BUSY_SECONDS", 0.0)
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with (
            closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            use_wal(connection)
