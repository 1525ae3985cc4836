"""The tables of the store, and how a file of an older version gets what it lacks.

``docs/store.md`` tells what they mean.
"""

from __future__ import annotations

import sqlite3

from engine.store.transaction import transaction

SCHEMA_VERSION = 4
SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, "group" TEXT NOT NULL, name TEXT NOT NULL, arm TEXT NOT NULL, status TEXT NOT NULL,
    stage TEXT, step INTEGER NOT NULL DEFAULT 0, progress REAL, eta_s REAL, seed INTEGER NOT NULL, device TEXT,
    host TEXT, pid INTEGER, folder TEXT NOT NULL, config TEXT NOT NULL, tags TEXT NOT NULL DEFAULT '[]',
    created REAL NOT NULL, started REAL, ended REAL, heartbeat REAL, error TEXT, parent TEXT,
    parent_step INTEGER);
CREATE INDEX IF NOT EXISTS runs_by_group ON runs ("group", created);
CREATE TABLE IF NOT EXISTS stages (
    run TEXT NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    first_step INTEGER, last_step INTEGER, started REAL, ended REAL, seconds REAL NOT NULL DEFAULT 0,
    tokens_trained INTEGER NOT NULL DEFAULT 0, tokens_generated INTEGER NOT NULL DEFAULT 0, checkpoint TEXT,
    flops REAL NOT NULL DEFAULT 0, peak_mb REAL, work TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (run, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS phases (
    run TEXT NOT NULL, first_step INTEGER NOT NULL, kind TEXT NOT NULL, position INTEGER NOT NULL,
    round INTEGER NOT NULL, started REAL NOT NULL, PRIMARY KEY (run, position, round, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (
    run TEXT NOT NULL, key TEXT NOT NULL, step INTEGER NOT NULL, value REAL, special TEXT, at REAL NOT NULL,
    PRIMARY KEY (run, key, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (
    run TEXT NOT NULL, key TEXT NOT NULL, step INTEGER NOT NULL, value REAL, special TEXT,
    PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS traces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, step INTEGER NOT NULL, phase TEXT NOT NULL,
    round INTEGER NOT NULL, trace TEXT NOT NULL, source TEXT NOT NULL, rollout INTEGER NOT NULL, prompt TEXT NOT NULL,
    text TEXT NOT NULL, lines INTEGER NOT NULL, latents INTEGER NOT NULL, bound REAL NOT NULL, bare REAL NOT NULL);
CREATE INDEX IF NOT EXISTS traces_by_run ON traces (run, id);
CREATE TABLE IF NOT EXISTS trace_lines (
    trace_id INTEGER NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL, latent TEXT, tokens INTEGER NOT NULL,
    logprob REAL NOT NULL, bare_logprob REAL NOT NULL, p_think REAL, reward REAL NOT NULL, advantage REAL NOT NULL,
    PRIMARY KEY (trace_id, line)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS problems (
    suite TEXT NOT NULL, task TEXT NOT NULL, prompt TEXT NOT NULL, PRIMARY KEY (suite, task)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, step INTEGER NOT NULL, phase TEXT NOT NULL,
    position INTEGER NOT NULL, suite TEXT NOT NULL, task TEXT NOT NULL, sample INTEGER NOT NULL, text TEXT NOT NULL,
    tokens INTEGER NOT NULL, stop TEXT NOT NULL, logprob REAL, verdict TEXT NOT NULL, reward REAL, advantage REAL,
    cpu_s REAL, wall_s REAL, peak_mb REAL, failed_test TEXT, stdout TEXT, stderr TEXT, backend TEXT, tricks TEXT,
    tests INTEGER, tests_passed INTEGER, temperature REAL, token_ids TEXT, token_logprobs TEXT);
CREATE INDEX IF NOT EXISTS samples_by_run ON samples (run, id);
CREATE TABLE IF NOT EXISTS evals (
    run TEXT NOT NULL, position INTEGER NOT NULL, suite TEXT NOT NULL, k INTEGER NOT NULL, step INTEGER NOT NULL,
    after TEXT NOT NULL, value REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, problems INTEGER NOT NULL,
    n INTEGER NOT NULL, masked INTEGER NOT NULL, PRIMARY KEY (run, position, suite, k)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, at REAL NOT NULL, step INTEGER NOT NULL,
    level TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_run ON events (run, id);
CREATE TABLE IF NOT EXISTS controls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, at REAL NOT NULL, who TEXT NOT NULL,
    action TEXT NOT NULL, key TEXT, value TEXT, taken REAL, step INTEGER);
CREATE INDEX IF NOT EXISTS controls_waiting ON controls (run, taken);
"""

ADDED = {
    2: (
        "ALTER TABLE runs ADD COLUMN parent TEXT",
        "ALTER TABLE runs ADD COLUMN parent_step INTEGER",
        "ALTER TABLE controls ADD COLUMN step INTEGER",
    ),
    3: (
        "ALTER TABLE stages ADD COLUMN flops REAL NOT NULL DEFAULT 0",
        "ALTER TABLE stages ADD COLUMN peak_mb REAL",
        "ALTER TABLE stages ADD COLUMN work TEXT NOT NULL DEFAULT '{}'",
    ),
    4: (
        "ALTER TABLE samples ADD COLUMN tests INTEGER",
        "ALTER TABLE samples ADD COLUMN tests_passed INTEGER",
        "ALTER TABLE samples ADD COLUMN temperature REAL",
        "ALTER TABLE samples ADD COLUMN token_ids TEXT",
        "ALTER TABLE samples ADD COLUMN token_logprobs TEXT",
    ),
}
"""What each version added to the one before it."""


def bring_up(connection: sqlite3.Connection) -> None:
    """Make the tables, or add what a file of an older version lacks, in one transaction.

    ``connection`` commits by itself. Several processes may come at once: the first does it, the others find it done.
    """
    if _version(connection) == SCHEMA_VERSION:
        return
    with transaction(connection):
        older = _version(connection) or SCHEMA_VERSION  # a new file is made in one go
        for version in range(older + 1, SCHEMA_VERSION + 1):
            for statement in ADDED[version]:
                connection.execute(statement)
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
