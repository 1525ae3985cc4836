"""Recipes as files: the ones that ship, TOML of a person's own, and ``key=value`` overrides over either.

A file may begin with ``extends = "smollm2"``, the name of a shipped recipe or a path beside it: what it does not say is
as there, key by key. Arms alone are not mixed: those of the file are all there are, where it has any.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.recipe.keys import RecipeError, assign, check_value, did_you_mean, explain, may_be_none
from engine.recipe.recipe import Recipe
from engine.text import read_text


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name; those that extend another come last."""
    folder = Path(str(resources.files("engine.recipe"))) / "recipes"
    ordered = sorted(folder.glob("*.toml"), key=lambda path: ("extends" in _read(path), path.stem))
    return {path.stem: path for path in ordered}


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a TOML file, and apply ``key=value`` overrides.

    Raises:
        RecipeError: no such recipe, not TOML, an unknown key, a value of the wrong type.
    """
    path = _locate(name_or_path, Path())
    table = _extended(_read(path), path.parent, str(path), [path.resolve()])
    for override in overrides:
        key, value = parse_override(override)
        assign(table, key, value)
    return _validate(table, str(path))


def parse_recipe(text: str, where: str) -> Recipe:
    """The recipe in ``text``; ``where`` names it in errors."""
    return _validate(_extended(_parse(text, where), Path(), where, []), where)


def _locate(name_or_path: str, folder: Path) -> Path:
    path = shipped().get(name_or_path, folder / name_or_path)
    try:
        is_file = path.is_file()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be looked at: {error.strerror}; name a file, or a shipped recipe") from error
    if not is_file:
        known = ", ".join(shipped())
        nearest = did_you_mean(name_or_path, list(shipped()))
        raise RecipeError(f"no recipe {name_or_path!r}: it is neither a file nor one of {known}{nearest}")
    return path


def _extended(table: dict[str, Any], folder: Path, where: str, seen: list[Path]) -> dict[str, Any]:
    """``table`` over the recipe it extends; ``seen`` are the files on the way to it, ``folder`` that of the last."""
    name = table.pop("extends", None)
    if name is None:
        return table
    if not isinstance(name, str):
        raise RecipeError(f"{where}: extends = {name!r}: expected the name of a recipe, or the path of one")
    base = _locate(name, folder)
    if base.resolve() in seen:
        raise RecipeError(f"{where}: extends = {name!r}: a recipe cannot extend itself")
    under = _extended(_read(base), base.parent, str(base), [*seen, base.resolve()])
    return _merged(under, table) | ({"arms": table["arms"]} if "arms" in table else {})


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """The values of ``over``, and those of ``under`` that it does not have, table by table."""
    both = {
        key: _merged(under[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(under.get(key), dict)
    }
    return under | over | both


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parse(read_text(path), str(path))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not TOML: {error}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: not TOML: {error}") from error


def _validate(table: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{where}: {explain(Recipe, item)}" for item in error.errors())) from None


def parse_override(override: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is TOML (``3``, ``0.1``, ``true``, ``["a"]``), or a bare string.

    Raises:
        RecipeError: no ``=``, an unknown key, or a value that does not fit it.
    """
    key, separator, raw = override.partition("=")
    if not separator:
        raise RecipeError(f"override {override!r}: expected key=value, such as ra3.penalty=0.1")
    if raw == "none" and may_be_none(Recipe, key, "override"):
        return key, None
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    check_value(Recipe, key, value, where="override")
    return key, value
