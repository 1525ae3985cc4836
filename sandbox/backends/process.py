"""The process backend: limits and a system-call filter, for a Linux whose kernel refuses namespaces.

Named unsafe, and used only when asked for by name. It opens no socket and sends no signal, and where the kernel has
Landlock it reads the interpreter and writes its scratch folder alone; elsewhere it reads and writes what this user can.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from .cell import CellLost, Pair
from .local import LocalCell, open_linked
from .namespaces import hidden_paths, readable_paths
from .packages import Asked, Package, chosen_here


class ProcessCell(LocalCell):
    """A fork server that is an ordinary process."""

    required = frozenset({"unprivileged user", "no new privileges", "seccomp"})

    def __init__(self, link: socket.socket, core: int, packages: tuple[Package, ...]) -> None:
        if os.geteuid() == 0:
            raise CellLost("candidates would run as root, over all of this machine: run as a plain user")
        self._folder = Path(tempfile.mkdtemp(prefix="ra3-cell-"))
        self._folder.chmod(0o700)  # under a umask that takes even the owner's bits
        try:
            super().__init__(link, core, packages)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def configuration(self) -> dict[str, object]:
        """Its scratch folder is all that is its own; packages are links, as there is nowhere to mount them."""
        scratch, shelf = self._folder / "scratch", self._folder / "packages"
        for folder in (scratch, shelf, *(shelf / package.name for package in self.packages)):
            folder.mkdir()
            folder.chmod(0o700)
        for package in self.packages:
            for entry in package.entries:
                (shelf / package.name / entry.name).symlink_to(entry)
        lent = [str(entry) for package in self.packages for entry in package.entries]
        return {
            "kind": "process",
            "folder": str(scratch),
            "readable": [*_without_installed(readable_paths()), str(shelf), *lent],
            "packages": [str(shelf / package.name) for package in self.packages],
        }

    def close(self) -> None:
        """Hang up, end it, and remove its folder."""
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _without_installed(readable: list[str]) -> list[str]:
    """The same folders, each that holds what a cell is not to see as its other entries: Landlock only ever allows."""
    hidden = [Path(path) for path in hidden_paths(readable)]
    allowed = [Path(path) for path in readable]
    for path in hidden:
        for outer in [outer for outer in allowed if path.is_relative_to(outer)]:
            allowed.remove(outer)
            allowed += _around(outer, path)
    return [str(path) for path in allowed]


def _around(outer: Path, hidden: Path) -> list[Path]:
    """Everything directly on the way from ``outer`` to ``hidden`` but what leads there."""
    kept, place = [], outer
    while place != hidden:
        step = place / hidden.relative_to(place).parts[0]
        kept += [entry for entry in place.iterdir() if entry != step]
        place = step
    return kept


def opener(asked: Asked) -> Callable[[int], Pair]:
    """What opens a pair of ordinary processes, and raises CellLost or OSError. Raises SandboxUnavailable."""
    packages = chosen_here(asked)
    return lambda core: open_linked(ProcessCell, core, packages)
