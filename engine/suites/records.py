"""The records of a suite's file, each checked where it is read."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path
from typing import Any

from engine.suites.problem import SuiteError
from engine.text import BadLine, read_jsonl, unix_newlines


def read_objects(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The file's objects and where each stands. A suite with a bad line is another suite: that is an error."""
    objects = []
    try:
        for number, item in read_jsonl(path):
            if isinstance(item, BadLine):
                raise SuiteError(f"{item}; mend or remove that line")
            objects.append((f"{path}:{number}", item))
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read ({error}); give the suite's JSONL file as NAME:PATH") from error
    if not objects:
        raise SuiteError(f"{path}: holds no problem; one JSON object a line is needed")
    return objects


def text_at(item: dict[str, Any], key: str, where: str) -> str:
    """The text at `key`, with Python's newlines. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if not isinstance(value, str):
        raise SuiteError(f"{where}: {key!r} must be text, found {type(value).__name__}; it has {', '.join(item)}")
    return unix_newlines(value)


def texts_at(item: dict[str, Any], key: str, where: str) -> list[str]:
    """The texts at `key`, of which there must be some. Raises SuiteError, which names `where`."""
    value = item.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise SuiteError(f"{where}: {key!r} must be a list of assert statements; it has {', '.join(item)}")
    return [unix_newlines(text) for text in value]


def called_function(test: str, code: str) -> str:
    """The function that an assert calls: the first that the code defines, else the first that is not built in."""
    try:
        nodes = [node.func for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return ""
    calls = [node.id for node in nodes if isinstance(node, ast.Name)]
    defined = [name for name in calls if re.search(rf"^\s*(def|class)\s+{name}\b", code, re.MULTILINE)]
    return next(iter(defined or [name for name in calls if not hasattr(builtins, name)]), "")
