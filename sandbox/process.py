"""The process backend: limits and a system-call filter, for a Linux whose kernel refuses namespaces.

Named unsafe, and used only when asked for by name: a candidate here can read what this user can, and write where the
user may. It has no network and sends no signals, so that it cannot end this user's other processes.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from .cell import CellLost, Pair
from .local import LocalCell, open_linked


class ProcessCell(LocalCell):
    """A fork server that is an ordinary process."""

    required = frozenset({"unprivileged user", "no new privileges", "seccomp"})

    def __init__(self, link: socket.socket) -> None:
        if os.geteuid() == 0:
            raise CellLost("candidates would run as root, over all of this machine: run as a plain user")
        self.folder = Path(tempfile.mkdtemp(prefix="ra3-cell-"))
        super().__init__(link)

    def configuration(self) -> dict[str, object]:
        """Its scratch folder is all that is its own."""
        return {"kind": "process", "folder": str(self.folder)}

    def close(self) -> None:
        """Hang up, kill, and remove the scratch folder."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def open_pair() -> Pair:
    """A pair of ordinary processes; raises CellLost or OSError."""
    return open_linked(ProcessCell)
