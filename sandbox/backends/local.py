"""A cell that is a child process on this machine, spoken to over pipes."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from abc import abstractmethod
from pathlib import Path
from typing import IO, Any

from .cell import REQUIRED, Cell, CellLost, Pair, paired
from .cgroups import Account, open_account
from .packages import Package
from .surroundings import ENVIRONMENT

CELL_OVERHEAD_MB = 96
"""Memory of a cell beside the candidate's own: the fork server and what of it a child copies."""
END_S = 10.0
"""How long a cell may take to end before it is killed."""
_SANDBOX = Path(__file__).parents[1]
_LAUNCH = "import sys; sys.path.insert(0, sys.argv[1]); import inside.start as s; sys.path.pop(0); s.main()"


class LocalCell(Cell):
    """A fork server that this process starts."""

    required = REQUIRED
    """The layers without which the cell is not to be used."""

    def __init__(self, link: socket.socket, core: int, packages: tuple[Package, ...]) -> None:
        super().__init__()
        self.packages = packages
        """The third-party packages that it is to have."""
        self.account = _open_account_if_allowed()
        try:
            self._process = _launch(link)
        except BaseException:
            self._remove_account()
            raise
        try:
            self._to, self._from = _pipes(self._process)
            self._begin(link, core)
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """What the cell is to become."""

    def _begin(self, link: socket.socket, core: int) -> None:
        """Into its account first, so that nothing it starts can be outside."""
        oom_files, ways_out = [], {}
        if self.account is not None:
            self.account.add(self._process.pid)
            oom_files.append(self.account.oom_file)
            ways_out = self.account.ways_out
        kernels = {"core": core, "oom_files": oom_files, "groups": ways_out}
        self.send({"link": link.fileno(), **kernels, **self.configuration()})

    @property
    def accounts_memory(self) -> bool:
        """Whether a control group holds the cell to its memory."""
        return self.account is not None

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

    def abort(self) -> None:
        """End it: the pipe from the fork server ends then."""
        self._process.terminate()

    def close(self) -> None:
        """Hang up and end it: what the launcher is told to end it reaps, and with init ends all of a pid namespace."""
        self._to.close()
        self._process.terminate()
        if not _ends(self._process):
            self._process.kill()
        self._process.wait()
        self._from.close()
        self._remove_account()

    def _remove_account(self) -> None:
        if self.account is not None:
            self.account.remove()


def _launch(link: socket.socket) -> subprocess.Popen[bytes]:
    """In a session of its own: what a terminal sends when somebody presses Ctrl-C is not for a cell."""
    return subprocess.Popen(
        [sys.executable, "-s", "-S", "-P", "-B", "-c", _LAUNCH, str(_SANDBOX)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[link.fileno()],
        env=ENVIRONMENT,
        bufsize=0,
        start_new_session=True,
    )


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ends in time; waited for without the polling of `Popen.wait`."""
    if process.poll() is not None:
        return True
    try:
        ended = os.pidfd_open(process.pid)
    except ProcessLookupError:  # just now; where SIGCHLD is ignored nothing is left of it to wait for
        return True
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    try:
        return bool(poll.poll(END_S * 1000))
    finally:
        os.close(ended)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise CellLost("the cell was started without pipes")
    return process.stdin, process.stdout


def _open_account_if_allowed() -> Account | None:
    """The cell's account; None where this user may make no control group, as a result's layers then say."""
    try:
        return open_account()
    except (OSError, KeyError):
        return None


def open_linked(kind: type[LocalCell], core: int, packages: tuple[Package, ...]) -> Pair:
    """A pair of cells of one kind, both on one core; raises CellLost or OSError."""
    ours, theirs = socket.socketpair()
    cells: list[LocalCell] = []
    with ours, theirs:
        try:
            for link in (ours, theirs):
                cells.append(kind(link, core, packages))
            return paired(cells[0], cells[1], lambda: None, packages, kind.required)
        except BaseException:
            for cell in cells:
                cell.close()
            raise
