"""Third-party packages that programs and tests may import: found among the installed ones, with what they need."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from ..job import SandboxUnavailable

Asked = Literal["auto", "none"] | tuple[str, ...]
"""Which packages a sandbox is to have: the usual ones that are there, none, or those of these names."""
USUAL = (
    *("numpy", "scipy", "pandas", "sympy", "networkx"),
    *("sortedcontainers", "more-itertools", "regex", "python-dateutil", "pytz", "tzdata", "pytest"),
)
"""What programs import most. Not all that is installed: a data set's answers may be among it."""
_NAME = re.compile(r"[\w.-]+")


def parse_asked(text: str) -> Asked:
    """What a person asks for: ``auto``, ``none``, or names with commas between."""
    if text in ("auto", "none"):
        return text  # type: ignore[return-value]  # mypy does not narrow a text to literals
    return tuple(name.strip() for name in text.split(",") if name.strip())


class Package(NamedTuple):
    """One installed distribution."""

    name: str
    version: str
    needs: tuple[str, ...]
    """Names of distributions that it imports; some may not be there, being for other systems."""
    entries: tuple[Path, ...] = ()
    """Its top-level modules and folders on this machine."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def installed(name: str) -> Package | None:
    """The distribution of this name here; None where there is none that can be copied.

    Read by hand: `importlib.metadata` takes as long over it as the judging of a hundred samples.
    """
    info = _places().get(_plain(name))
    if info is None:
        return None
    entries = tuple(path for top in sorted(_tops(info)) if (path := info.parent / top).exists())
    if entries in ((), (info,)):
        return None  # installed in place: its files are elsewhere
    version = info.name.removesuffix(".dist-info").rpartition("-")[2]
    return Package(_plain(name), version, tuple(_needs(info)), entries)


@cache
def _places() -> dict[str, Path]:
    """Where each distribution says what it is, the first on the path counting."""
    found: dict[str, Path] = {}
    for folder in map(Path, sys.path):
        if folder.name == "_vendor":  # setuptools puts its own copies there once it is imported
            continue
        for info in sorted(folder.glob("*.dist-info")):
            found.setdefault(_plain(info.name.removesuffix(".dist-info").rpartition("-")[0]), info)
    return found


def _plain(requirement: str) -> str:
    """The name in a requirement, as the index spells it."""
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def _tops(info: Path) -> set[str]:
    """Top-level modules and folders, of the record of installed files."""
    record = info / "RECORD"
    if not record.exists():
        return {info.name, info.name.partition("-")[0]}
    tops = {line.partition(",")[0].partition("/")[0] for line in record.read_text(encoding="utf-8").splitlines()}
    return {top for top in tops if top not in ("", "..", "__pycache__") and not top.endswith(".pth")}


def _needs(info: Path) -> Iterator[str]:
    head = (info / "METADATA").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    for line in head.splitlines():
        key, _, requirement = line.partition(": ")
        if key == "Requires-Dist" and "extra ==" not in requirement:
            yield _plain(requirement)


def choose(asked: Asked, find: Callable[[str], Package | None], lacking: str) -> tuple[Package, ...]:
    """What was asked for, with what it needs, by name. Raises SandboxUnavailable, which says ``lacking``, for a name
    that is not there.
    """
    chosen: dict[str, Package] = {}
    names = () if asked == "none" else USUAL if asked == "auto" else asked
    for name in names:
        if find(_plain(name)) is None and asked != "auto":
            raise SandboxUnavailable(f"sandbox.packages: there is no {name!r} {lacking}")
        _add(_plain(name), find, chosen)
    return tuple(chosen[name] for name in sorted(chosen))


def _add(name: str, find: Callable[[str], Package | None], chosen: dict[str, Package]) -> None:
    if name in chosen or (package := find(name)) is None:
        return
    chosen[name] = package
    for need in package.needs:
        _add(need, find, chosen)


def chosen_here(asked: Asked) -> tuple[Package, ...]:
    """Of this interpreter's packages; raises SandboxUnavailable."""
    return choose(asked, installed, "installed here that could be lent: `pip install` it, or leave it out")


def to_label(packages: Iterable[Package]) -> str:
    """How an image names what it has."""
    return json.dumps({package.name: [package.version, package.needs] for package in packages})


def from_label(label: str) -> dict[str, Package]:
    """What an image says that it has."""
    return {name: Package(name, version, tuple(needs)) for name, (version, needs) in json.loads(label).items()}
