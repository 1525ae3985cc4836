"""The dotted keys of a typed table (``ra3.penalty``): what may stand there, and what to say when something else does.

``root`` is the type of the whole table everywhere: a pydantic model whose fields may be models and dicts of models.
"""

from __future__ import annotations

import difflib
import functools
import types
import typing
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from engine.errors import UsageFault

NUMBERS = ConfigDict(allow_inf_nan=False)
"""Of every number in a table: a rate or a penalty that is not finite would be met by the first update alone."""


class RecipeError(UsageFault):
    """A recipe cannot be used. The message names the file, the key, what was expected and the nearest known key."""


def explain(root: type[BaseModel], item: Any) -> str:
    """One line for ``item``, one of a ValidationError's ``errors()``."""
    path = [str(part) for part in item["loc"]]
    key = ".".join(path)
    if item["type"] == "extra_forbidden":
        return _unknown_key(root, path)
    if item["type"] == "missing":
        return f"{key} is missing: expected {_type_name(_bare(_annotation(root, path, '')))}"
    if item["type"] == "value_error" and (not path or _is_section(_bare(_annotation(root, path, "")))):
        return _reason(item)  # of several keys together, which it names
    return f"{key} = {item['input']!r}: {_reason(item)}"


def _reason(item: Any) -> str:
    """Why a value was refused, in the words of pydantic or of a validator of ours."""
    return str(item["ctx"]["error"] if item["type"] == "value_error" else item["msg"])


def did_you_mean(word: str, known: list[str]) -> str:
    """`` (did you mean …?)``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def may_be_none(root: type[BaseModel], key: str, where: str) -> bool:
    """Whether the value at ``key`` may be absent.

    Raises:
        RecipeError: there is no such key.
    """
    return type(None) in typing.get_args(_bare(_annotation(root, key.split("."), where)))


def check_value(root: type[BaseModel], key: str, value: Any, where: str) -> None:
    """Check one value against its key's type and bounds.

    Raises:
        RecipeError: an unknown key, or a value that does not fit it.
    """
    expected = _annotation(root, key.split("."), where)
    config = None if _is_section(expected) else NUMBERS  # a section has it in its own
    try:
        TypeAdapter(expected, config=config).validate_python(value)
    except ValidationError as error:
        words = f"expected {_type_name(_bare(expected))}: {_reason(error.errors()[0])}"
        raise RecipeError(f"{where}: {key} = {value!r}: {words}") from None


def value_at(table: BaseModel, key: str) -> Any:
    """The value at ``key``, which must be one that ``table`` has."""
    return functools.reduce(getattr, key.split("."), table)


def assign(table: dict[str, Any], key: str, value: Any) -> None:
    """Set ``key`` in the plain ``table``, making the tables on the way.

    Raises:
        RecipeError: something on the way is not a table.
    """
    *path, last = key.split(".")
    for depth, part in enumerate(path, 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{'.'.join(path[:depth])} = {table!r}: expected a table, so {key} cannot be set")
    table[last] = value


def _annotation(root: type[BaseModel], path: list[str], where: str) -> Any:
    """The annotation of the value at ``path``, bounds included.

    Raises:
        RecipeError: there is no such key.
    """
    annotation: Any = root
    for i, part in enumerate(path):
        table = _bare(annotation)
        if _is_section(table):
            if part not in table.model_fields:
                raise RecipeError(f"{where}: {_unknown_key(root, path[: i + 1])}")
            field = table.model_fields[part]
            annotation = Annotated[field.annotation, field]
        elif typing.get_origin(table) is dict:
            annotation = typing.get_args(table)[1]
        else:
            raise RecipeError(f"{where}: {'.'.join(path[:i])} is a value, it has no key {part!r}")
    return _bare(annotation) if _is_section(_bare(annotation)) else annotation


def _unknown_key(root: type[BaseModel], path: list[str]) -> str:
    section = _annotation(root, path[:-1], "")
    known = list(section.model_fields) if _is_section(section) else []
    return f"unknown key {'.'.join(path)}{did_you_mean(path[-1], known)}; known here: {', '.join(known)}"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(repr(value) for value in typing.get_args(annotation))
    if isinstance(annotation, types.UnionType):
        return " or ".join(_type_name(part) for part in typing.get_args(annotation) if part is not type(None))
    if _is_section(annotation) or typing.get_origin(annotation) is dict:
        return "a table"
    if typing.get_origin(annotation) is tuple:
        return f"a list ([…]) of {_type_name(_bare(typing.get_args(annotation)[0]))}"
    return getattr(annotation, "__name__", str(annotation))
