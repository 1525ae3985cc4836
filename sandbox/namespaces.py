"""The namespaces backend: cells made of Linux namespaces, for root and for a plain user."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

from .cell import Pair
from .local import LocalCell, open_linked

TMP_BYTES, TMP_FILES = 64 << 20, 4096
"""The room of a cell's /tmp."""


MOUNT_POINT = "/sys"
"""Where a cell builds its root, seen by nobody else: a folder that is always there and that a root needs nothing of."""


class NamespaceCell(LocalCell):
    """A fork server that is init of its own namespaces."""

    def configuration(self) -> dict[str, Any]:
        """What its file system is built of."""
        room = {"root": MOUNT_POINT, "tmp_bytes": TMP_BYTES, "tmp_files": TMP_FILES}
        return {"kind": "namespaces", **room, **readable_paths()}


def readable_paths() -> dict[str, Any]:
    """What of this machine a cell can read: the interpreter, its library, and the shared objects they need."""
    library = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("LIBDIR"), "/usr/lib", "/usr/lib64"]
    readable: list[str] = []
    links: dict[str, str] = {}
    for top in (Path("/lib"), Path("/lib64")):
        if top.is_symlink():
            links[str(top)] = str(top.readlink())
        else:
            library.append(str(top))
    for path in sorted({str(Path(path).resolve()) for path in library if path and Path(path).is_dir()}):
        if not any(path.startswith(f"{outer}/") for outer in readable):
            readable.append(path)
    return {"readable": readable, "links": links}


def open_pair(core: int) -> Pair:
    """A pair of cells in namespaces; raises CellLost or OSError."""
    return open_linked(NamespaceCell, core)
