"""Third-party packages that programs and tests may import: found among the installed ones, with what they need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .job import SandboxUnavailable

if TYPE_CHECKING:
    from importlib.metadata import Distribution

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
    """The distribution of this name here; None where there is none that can be copied."""
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415  # dear, and not always asked for

    try:
        here = distribution(name)
    except PackageNotFoundError:
        return None
    entries = _entries(here)
    if not any(entry.suffix != ".dist-info" for entry in entries):
        return None  # installed in place: its files are elsewhere
    needs = [need for need in here.requires or () if "extra ==" not in need]
    return Package(_plain(name), here.version, tuple(_plain(need) for need in needs), entries)


def _plain(requirement: str) -> str:
    """The name in a requirement, as the index spells it."""
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def _entries(here: Distribution) -> tuple[Path, ...]:
    tops = {file.parts[0] for file in here.files or ()} - {"..", "__pycache__"}
    paths = (Path(str(here.locate_file(top))) for top in sorted(tops))
    return tuple(path for path in paths if path.suffix != ".pth" and path.exists())


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
