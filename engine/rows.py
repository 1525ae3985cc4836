"""Rows of a file of records: JSONL, plain or gzipped, or parquet, as the hub keeps most data sets."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from engine.text import BadLine, open_file, read_jsonl

_AT_ONCE = 64
"""Rows of parquet in memory together: one may have megabytes of tests."""


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Each row of `path`, with its number from 1. Raises OSError when it cannot be read."""
    return enumerate(read_parquet(path), start=1) if path.suffix == ".parquet" else read_jsonl(path)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Each row, as JSON would have it. Raises OSError when it cannot be read, or pyarrow is not there to read it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise OSError("parquet needs pyarrow: pip install 'ra3[parquet]'")
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an extra, and slow to import

    try:
        with open_file(path) as file:
            for batch in parquet.ParquetFile(file).iter_batches(_AT_ONCE, columns=columns):
                for row in batch.to_pylist():
                    yield {name: _as_json(value) for name, value in row.items()}
    except ArrowException as error:
        raise OSError(str(error).splitlines()[0]) from error


def _as_json(value: Any) -> Any:
    """A day or a time as text."""
    return value.isoformat() if isinstance(value, date) else value
