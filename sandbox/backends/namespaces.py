"""The namespaces backend: cells made of Linux namespaces, for root and for a plain user."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import surroundings
from .cell import Pair
from .local import LocalCell, open_linked
from .packages import Asked, chosen_here

MOUNT_POINT = "/sys"
"""Where a cell builds its root, seen by nobody else: a folder that is always there and that a root needs nothing of."""
_INSTALLED = ("site-packages", "dist-packages")


class NamespaceCell(LocalCell):
    """A fork server that is init of its own namespaces."""

    def configuration(self) -> dict[str, Any]:
        """What its file system is built of."""
        places = {package.name: f"{surroundings.PACKAGES}/{package.name}" for package in self.packages}
        bound = {f"{places[each.name]}/{path.name}": str(path) for each in self.packages for path in each.entries}
        readable = readable_paths()
        return {
            "kind": "namespaces",
            "root": MOUNT_POINT,
            "hostname": surroundings.HOSTNAME,
            "tmpfs": {
                "/tmp": _room(surroundings.TMP_BYTES, surroundings.TMP_FILES),  # noqa: S108  # the cell's own
                "/dev/shm": _room(surroundings.SHM_BYTES, surroundings.SHM_FILES),  # noqa: S108
            },
            "readable": {path: path for path in readable} | bound,
            "hidden": hidden_paths(readable),
            "devices": surroundings.DEVICES,
            "links": _links_of_root() | surroundings.DEVICE_LINKS,
            "files": surroundings.FILES,
            "packages": list(places.values()),
        }


def _room(size: int, files: int) -> str:
    return f"size={size},nr_inodes={files},mode=1777"


def readable_paths() -> list[str]:
    """What of this machine a cell can read: the interpreter, its library, shared objects, time zones."""
    library = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("LIBDIR"), "/usr/lib", "/usr/lib64"]
    library += [surroundings.ZONES, *(str(top) for top in (Path("/lib"), Path("/lib64")) if not top.is_symlink())]
    readable: list[str] = []
    for path in sorted({str(Path(path).resolve()) for path in library if path and Path(path).is_dir()}):
        if not any(path.startswith(f"{outer}/") for outer in readable):
            readable.append(path)
    return readable


def _links_of_root() -> dict[str, str]:
    return {str(top): str(top.readlink()) for top in (Path("/lib"), Path("/lib64")) if top.is_symlink()}


def hidden_paths(readable: list[str]) -> list[str]:
    """What is installed below these folders: of it a cell sees only the packages that it is given."""
    return sorted({str(path) for top in readable for path in _installed_below(Path(top))})


def _installed_below(top: Path) -> Iterator[Path]:
    for name in _INSTALLED:
        for pattern in (name, f"python*/{name}"):
            yield from (path for path in top.glob(pattern) if path.is_dir())


def opener(asked: Asked) -> Callable[[int], Pair]:
    """What opens a pair of cells in namespaces, and raises CellLost or OSError. Raises SandboxUnavailable."""
    packages = chosen_here(asked)
    return lambda core: open_linked(NamespaceCell, core, packages)
