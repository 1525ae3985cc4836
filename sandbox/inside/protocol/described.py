"""What the description of a class may hold, whoever wrote it: every name in it is one of a kind that is known here."""

from __future__ import annotations

import keyword
from collections import Counter
from typing import Any

from .operators import CROSSING
from .own import OVERRIDABLE
from .wire import Wire, WireError

_KEYS = frozenset(
    ("name", "module", "bases", "operators", "unhashable", "members", "fields", "dataclass", "box", "own")
)
_OPERATORS = frozenset(CROSSING)
_LONGEST_NAME = 1000


def check(told: Wire) -> None:
    """Raises WireError where a stand-in class made from it could have what no stand-in class has."""
    if type(told) is not dict or not told.keys() <= _KEYS:
        raise WireError("the description of a class is wanted")
    if not all(type(told[key]) is str and len(told[key]) <= _LONGEST_NAME for key in ("name", "module")):
        raise WireError("a class has a name and a module")
    if type(told["bases"]) is not list or not _OPERATORS.issuperset(told["operators"]):
        raise WireError("a class has bases and operators")
    _check_names([name for name, _ in told.get("members", ())])
    fields, compared = told.get("dataclass", ([], None))
    _check_names(fields)
    _check_names(compared or [])
    _check_names(told.get("fields", []))


def own_names(names: Wire, base: type) -> list[str]:
    """Methods of a container that its subclass has written anew; never what makes it equal to anything.

    A Counter compares itself by its own methods, and so keeps them.
    """
    if type(names) is not list:
        raise WireError("a list of names is wanted")
    for name in names:
        if name not in OVERRIDABLE and (name.startswith("_") or not hasattr(base, name)):
            raise WireError("a method of the container is wanted")
    return [name for name in names if base is not Counter or not hasattr(base, name)]


def _check_names(names: Any) -> None:
    """Of members and fields, which become attributes."""
    if type(names) is not list:
        raise WireError("a list of names is wanted")
    for name in names:
        if type(name) is not str or not name.isidentifier() or keyword.iskeyword(name):
            raise WireError("a name is wanted")
        if name.startswith("__") or (name[0] == name[-1] == "_") or len(name) > _LONGEST_NAME:
            raise WireError("a name of the program's own is wanted")
