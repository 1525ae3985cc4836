"""The records of a suite's file, each checked where it is read.

A column that a format asks for must be there; one that it may have must be of its type where it is there. Each fault
names file, line and column.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.rows import read_rows
from engine.suites.problem import SuiteError
from engine.text import BadLine, unix_newlines

Record = dict[str, Any]
"""One line of a suite's file, as its JSON has it."""


def read_objects(path: Path) -> list[tuple[str, Record]]:
    """The file's objects and where each stands. A suite with a bad line is another suite: that is an error."""
    objects = []
    if path.exists() and not path.is_file():  # a pipe cannot be read again on resume, a device may never end
        raise SuiteError(f"{path}: is no regular file; give the suite's file as NAME:PATH")
    try:
        for number, item in read_rows(path):
            if isinstance(item, BadLine):
                raise SuiteError(f"{item}; mend or remove that line")
            objects.append((f"{path}:{number}", item))
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read ({error}); give the suite's file as NAME:PATH") from error
    if not objects:
        raise SuiteError(f"{path}: holds no problem; a JSON object a line is needed, or a row of parquet a problem")
    return objects


def stream_objects(path: Path) -> Iterator[tuple[str, Record | SuiteError]]:
    """The file's objects one by one, for files of gigabytes; where a line holds none, what is wrong with it.

    Raises SuiteError where the file cannot be read to its end; the message names the line it was read to.
    """
    number = 0
    try:
        for number, item in read_rows(path):
            where = f"{path}:{number}"
            yield where, SuiteError(str(item)) if isinstance(item, BadLine) else item
    except OSError as error:
        raise SuiteError(f"{path}:{number + 1}: cannot be read ({error}); fetch the file again") from error


def text_at(item: Record, key: str, where: str) -> str:
    """The text at `key`, with Python's newlines. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if not isinstance(value, str):
        raise SuiteError(f"{where}: {key!r} must be text, found {type(value).__name__}; it has {', '.join(item)}")
    return unix_newlines(value)


def text_if_any(item: Record, key: str, where: str) -> str | None:
    """The text at `key`; None where there is nothing, or null. Raises SuiteError, which names `where`."""
    return None if item.get(key) is None else text_at(item, key, where)


def texts_at(item: Record, key: str, where: str) -> list[str]:
    """The texts at `key`, of which there must be some. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise SuiteError(f"{where}: {key!r} must be a list of assert statements; it has {', '.join(item)}")
    return [unix_newlines(text) for text in value]


def texts_if_any(item: Record, key: str, where: str) -> list[str]:
    """The texts at `key`, perhaps none; null is none. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if value is not None and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        raise SuiteError(f"{where}: {key!r} must be a list of texts, found {json_type(value)}")
    return [unix_newlines(text) for text in value or ()]


def json_type(value: Any) -> str:
    """What JSON calls the type of a value."""
    names = {bool: "true or false", str: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


def stops_at(item: Record, key: str, where: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The stop sequences at `key`, perhaps none, or `otherwise`. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if value is None:
        return otherwise
    # The empty text would end every completion before it begins; a text alone would be read letter by letter.
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise SuiteError(f'{where}: {key!r} must be a list of texts that are not empty, such as ["\\ndef "]')
    return tuple(value)


def id_at(item: Record, key: str, where: str, otherwise: int) -> str:
    """The id at `key`, a text or a whole number, or `otherwise`. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if value is None:
        return str(otherwise)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SuiteError(f"{where}: {key!r} must be text or a whole number, found {type(value).__name__}")
    return str(value)


def called_function(test: str, code: str) -> str:
    """The function that an assert calls: the first that the code defines, else the first that is not built in."""
    try:
        nodes = [node.func for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a null byte, or nested too deeply
        return ""
    calls = [node.id for node in nodes if isinstance(node, ast.Name)]
    defined = [name for name in calls if re.search(rf"^\s*(def|class)\s+{name}\b", code, re.MULTILINE)]
    return next(iter(defined or [name for name in calls if not hasattr(builtins, name)]), "")
