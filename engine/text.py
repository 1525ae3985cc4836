"""Text as files have it: newlines of any system; JSONL, plain or gzipped, its bad lines left to the caller."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no JSON object."""

    where: str
    """`FILE:LINE`, counted from 1."""
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Each line of `path` that is not blank, with its number from 1. Raises OSError when it cannot be read."""
    with _open(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse(line, f"{path}:{number}")


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _parse(line: bytes, where: str) -> dict[str, Any] | BadLine:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadLine(where, f"not UTF-8 ({error.reason} at byte {error.start})")
    except (ValueError, RecursionError) as error:
        return BadLine(where, f"not JSON ({error})")
    if not isinstance(value, dict):
        return BadLine(where, f"a JSON object is needed, this is a {type(value).__name__}")
    return value


def unix_newlines(source: str) -> str:
    r"""`source` with every line end that Python knows (`\r\n`, `\r`) as `\n`."""
    return source.replace("\r\n", "\n").replace("\r", "\n") if "\r" in source else source


def storable(text: str) -> str:
    r"""`text` as UTF-8 can hold it: a lone surrogate, which Python has for a byte of a file's name, becomes `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()
