"""The process backend: limits and a system-call filter, for a Linux whose kernel refuses namespaces.

Named unsafe, and used only when asked for by name. It opens no socket and sends no signal, and where the kernel has
Landlock it reads the interpreter and writes its scratch folder alone; elsewhere it reads and writes what this user can.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from .cell import CellLost, Pair
from .local import LocalCell, open_linked
from .namespaces import readable_paths


class ProcessCell(LocalCell):
    """A fork server that is an ordinary process."""

    required = frozenset({"unprivileged user", "no new privileges", "seccomp"})

    def __init__(self, link: socket.socket, core: int) -> None:
        if os.geteuid() == 0:
            raise CellLost("candidates would run as root, over all of this machine: run as a plain user")
        self.folder = Path(tempfile.mkdtemp(prefix="ra3-cell-"))
        super().__init__(link, core)

    def configuration(self) -> dict[str, object]:
        """Its scratch folder is all that is its own."""
        readable = readable_paths()["readable"]
        return {"kind": "process", "folder": str(self.folder), "readable": readable}

    def close(self) -> None:
        """Hang up, kill, and remove the scratch folder."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def open_pair(core: int) -> Pair:
    """A pair of ordinary processes; raises CellLost or OSError."""
    return open_linked(ProcessCell, core)
