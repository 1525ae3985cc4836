"""Text as files have it: newlines of any system; JSONL, plain or gzipped, its bad lines left to the caller."""

from __future__ import annotations

import errno
import gzip
import json
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO


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
    try:
        with open_file(path) as file, gzip.open(file) if path.suffix == ".gz" else file as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _parse(line, f"{path}:{number}")
    except (EOFError, zlib.error) as error:
        raise OSError(f"the gzip file is cut off or damaged: {error}") from error


def read_text(path: Path) -> str:
    """The text of a file, with Python's newlines. Raises OSError, or UnicodeDecodeError where it is no UTF-8."""
    with open_file(path) as file:
        return unix_newlines(file.read().decode("utf-8"))


def open_file(path: Path) -> BinaryIO:
    """`path` for reading: a file, which has an end. A pipe or a device may have none, and may wait for ever.

    Raises OSError for these as for what cannot be opened.
    """
    kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # of a folder the system itself says it best
        raise OSError(errno.EINVAL, "a pipe, a socket or a device, not a file", str(path))
    return path.open("rb")


def _parse(line: bytes, where: str) -> dict[str, Any] | BadLine:
    try:
        value = json.loads(line.decode("utf-8-sig"))
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return BadLine(where, f"not UTF-8 ({error.reason} at byte {error.start})")
    except UnicodeEncodeError as error:
        return BadLine(where, f"holds half a character (the lone surrogate {error.object[error.start]!a})")
    except (ValueError, RecursionError) as error:
        return BadLine(where, f"not JSON ({error})")
    if not isinstance(value, dict):
        return BadLine(where, f"a JSON object is needed, this is a {type(value).__name__}")
    return value


def unix_newlines(source: str) -> str:
    r"""`source` with every line end that Python knows (`\r\n`, `\r`) as `\n`."""
    return source.replace("\r\n", "\n").replace("\r", "\n") if "\r" in source else source


def storable(text: str) -> str:
    r"""`text` as UTF-8 can hold it: a lone surrogate (a byte of a file name, to Python) becomes `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()
