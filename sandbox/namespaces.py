"""The namespaces backend: a pair of cells made of Linux namespaces, for root and for a plain user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from .cell import Cell, CellLost, Pair, paired
from .cgroups import Account, open_account

TMP_BYTES, TMP_FILES = 64 << 20, 4096
CELL_OVERHEAD_MB = 96
"""Memory of a cell beside the candidate's own: the fork server and what of it a child copies."""
_HERE = Path(__file__).parent
LAUNCH = "import sys; sys.path.insert(0, sys.argv[1]); import inside.start as s; sys.path.pop(0); s.main()"
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", "HOME": "/tmp", "PATH": "/usr/bin:/bin"}  # noqa: S108
"""All a candidate sees of the environment: nothing of the user's, and the same order of sets everywhere."""


class NamespaceCell(Cell):
    """A fork server that is init of its own namespaces."""

    def __init__(self, link: socket.socket) -> None:
        super().__init__()
        self.account = _open_account_if_allowed()
        self._root = Path(tempfile.mkdtemp(prefix="ra3-cell-"))
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-S", "-P", "-B", "-c", LAUNCH, str(_HERE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[link.fileno()],
            env=ENVIRONMENT,
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise CellLost("the cell was started without pipes")
        self._to, self._from = self._process.stdin, self._process.stdout
        try:
            self._begin(link)
        except (CellLost, OSError):
            self.close()
            raise

    def _begin(self, link: socket.socket) -> None:
        if self.account is not None:
            self.account.add(self._process.pid)
        self.send(
            {
                "kind": "namespaces",
                "link": link.fileno(),
                "oom_files": [self.account.oom_file] if self.account is not None else [],
                "root": str(self._root),
                "tmp_bytes": TMP_BYTES,
                "tmp_files": TMP_FILES,
                **readable_paths(),
            }
        )

    def fileno(self) -> int:
        """The pipe from the fork server."""
        return self._from.fileno()

    def _read(self) -> bytes:
        return os.read(self._from.fileno(), 1 << 16)

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._to.fileno(), view) :]

    def set_memory(self, megabytes: int) -> None:
        """Set the cell's control group, fork server included."""
        if self.account is not None:
            self.account.limit(megabytes + CELL_OVERHEAD_MB << 20)

    def close(self) -> None:
        """Hang up and kill: with the launcher dies init, and with init all of the pid namespace."""
        self._to.close()
        self._process.kill()
        self._process.wait()
        self._from.close()
        if self.account is not None:
            self.account.remove()
        shutil.rmtree(self._root, ignore_errors=True)


def _open_account_if_allowed() -> Account | None:
    """The cell's account, None where this user may make no control group; a result's layers then say so."""
    try:
        return open_account()
    except (OSError, KeyError):
        return None


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


def open_pair() -> Pair:
    """A pair of cells in namespaces; raises CellLost or OSError."""
    ours, theirs = socket.socketpair()
    cells: list[NamespaceCell] = []
    with ours, theirs:
        try:
            for link in (ours, theirs):
                cells.append(NamespaceCell(link))
            return paired(cells[0], cells[1], lambda: None)
        except (CellLost, OSError):
            for cell in cells:
                cell.close()
            raise
