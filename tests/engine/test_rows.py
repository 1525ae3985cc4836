"""Parquet gives the rows that JSONL would; what cannot be read is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from engine.corpora.sources import CorpusError, load_corpus
from engine.rows import read_rows
from engine.suites.loading import load_suite
from engine.suites.problem import SuiteError

MBPP = [
    {
        "task_id": number,
        "text": f"Write a function to add {number}.",
        "code": f"def add(x):\n    y = x\n    y += {number}\n    return y",
        "test_list": [f"assert add(1) == {number + 1}"],
        "test_setup_code": "",
    }
    for number in (601, 602, 11)
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def deepcoder(number: int) -> dict[str, Any]:
    tests = json.dumps([{"input": "1\n", "output": f"{number}\n", "type": "stdin_stdout"}])
    return {"problem": f"Print {number}.", "tests": tests, "solutions": [f"```python\nprint({number})\n```"]}


def test_a_row_is_what_the_object_would_be_on_a_line(tmp_path: Path) -> None:
    rows = [{"n": None, "text": "a\nä", "tests": [{"input": "1", "ok": True}], "x": 0.5}] * 130
    lines, table = written(tmp_path / "a.jsonl", rows), written(tmp_path / "a.parquet", rows)
    assert list(read_rows(table)) == list(read_rows(lines)) == list(enumerate(rows, start=1))
    days = {"day": date(2024, 8, 1), "at": datetime(2024, 8, 1, 12, tzinfo=UTC)}
    ((_, row),) = read_rows(written(tmp_path / "days.parquet", [days]))
    assert row == {"day": "2024-08-01", "at": "2024-08-01T12:00:00+00:00"}


def test_a_suite_and_a_corpus_are_the_same_from_either(tmp_path: Path) -> None:
    lines, table = written(tmp_path / "mbpp.jsonl", MBPP), written(tmp_path / "mbpp.parquet", MBPP)
    tasks = [
        [(p.task_id, p.prompt, p.test) for p in load_suite(f"mbpp-train:{path}").problems] for path in (lines, table)
    ]
    assert tasks[0] == tasks[1]
    assert [task_id for task_id, *_ in tasks[1]] == ["MBPP/601", "MBPP/602"]
    for kind in ("mbpp", "jsonl"):
        traces = [
            {trace.id: trace.text for trace in load_corpus(kind, str(path), duplicates="exact").traces}
            for path in (lines, table)
        ]
        assert sorted(traces[0].values()) == sorted(traces[1].values())
        assert len(traces[0]) == (2 if kind == "mbpp" else 3)


def test_a_folder_of_shards_is_one_suite_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (1, 0, 2):
        written(tmp_path / f"train-{number}.parquet", [deepcoder(2 * number), deepcoder(2 * number + 1)])
    suite = load_suite(f"deepcoder:{tmp_path}")
    assert [problem.reference for problem in suite.problems] == [f"print({number})" for number in range(6)]
    assert [problem.task_id for problem in suite.problems] == [str(number) for number in range(6)]
    before = suite.digest
    written(tmp_path / "train-2.parquet", [deepcoder(9)])
    assert load_suite(f"deepcoder:{tmp_path}").digest != before
    (tmp_path / "none").mkdir()
    with pytest.raises(SuiteError, match=r"holds no \.parquet file"):
        load_suite(f"deepcoder:{tmp_path / 'none'}")


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.parquet", MBPP).read_bytes()
    for name, content in {"empty": b"", "lines": b'{"a": 1}\n', "cut": whole[: len(whole) // 2]}.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(content)
        for read in (lambda p: load_suite(f"mbpp:{p}"), lambda p: load_corpus("jsonl", str(p))):
            with pytest.raises((SuiteError, CorpusError), match=r"^[^\n]*\.parquet: cannot be read \([^\n]+$"):
                read(path)


def test_without_pyarrow_it_is_said_how_to_have_it(tmp_path: Path) -> None:
    path = written(tmp_path / "mbpp.parquet", MBPP)
    program = (
        "import sys\nsys.modules['pyarrow'] = None\nfrom engine.suites.loading import load_suite\n"
        f"load_suite('mbpp:{path}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    told = done.stderr.splitlines()[-1]
    assert told.endswith("(parquet needs pyarrow: pip install 'ra3[parquet]'); give the suite's file as NAME:PATH")
