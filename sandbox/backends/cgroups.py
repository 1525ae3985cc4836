"""Memory and process accounts of the kernel, one a cell, on version 2 or version 1 of control groups."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
PROCESSES = 256
"""Processes and threads of a whole cell; a job's own limit is lower."""
_COUNTER = itertools.count()


class Account:
    """The control groups of one cell."""

    def __init__(self, folders: dict[str, Path], before: dict[str, Path] | None = None) -> None:
        self._folders = folders
        """By controller, ``memory`` and ``pids``; on version 2 they are the same folder."""
        self._before = before or {}
        """By controller, the group that this process is in itself."""
        self.oom_file = str(folders["memory"] / ("memory.events" if self._unified else "memory.oom_control"))
        """Where the kernel counts what it ended for want of memory."""

    @property
    def _unified(self) -> bool:
        return self._folders["memory"] == self._folders["pids"]

    @property
    def name(self) -> str:
        """How the layer is called in a result."""
        return "cgroup2" if self._unified else "cgroup1"

    def add(self, pid: int) -> None:
        """Put a process, and so all it will start, under this account."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    @property
    def ways_out(self) -> dict[str, str]:
        """Each group, and the file by which a process goes back to where it was: a launcher outlives its supervisor,
        and removes the group in its place.
        """
        return {str(self._folders[each]): str(before / "cgroup.procs") for each, before in self._before.items()}

    def limit(self, memory_bytes: int) -> None:
        """Set the most memory, swap included, and processes."""
        memory = self._folders["memory"]
        if self._unified:
            (memory / "memory.max").write_text(str(memory_bytes))
            _write_if_there(memory / "memory.swap.max", "0")
        else:
            _limit_first_version(memory, memory_bytes)
        (self._folders["pids"] / "pids.max").write_text(str(PROCESSES))

    def remove(self) -> None:
        """Remove the groups; the kernel lets go of an ended process a moment after it is reaped."""
        for folder in set(self._folders.values()):
            for _ in range(200):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.005)


def _write_if_there(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # a kernel built without swap accounting has no such file
        path.write_text(text)


def _limit_first_version(memory: Path, memory_bytes: int) -> None:
    """The two limits of version 1 must never cross: lift the wider one first, lower it last."""
    wider, narrower = memory / "memory.memsw.limit_in_bytes", memory / "memory.limit_in_bytes"
    _write_if_there(wider, "-1")
    narrower.write_text(str(memory_bytes))
    _write_if_there(wider, str(memory_bytes))


def own_groups(membership: str) -> dict[str, Path]:
    """The groups we are in, by controller, ``membership`` being our /proc/self/cgroup."""
    own = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path.lstrip("/")
    if "memory" in own and "pids" in own:
        return {name: MOUNT / name / own[name] for name in ("memory", "pids")}
    return dict.fromkeys(("memory", "pids"), MOUNT / own.get("", ""))


def parents(own: dict[str, Path]) -> dict[str, Path]:
    """The groups under which ours go, by controller.

    Raises OSError where a controller is missing or may not be shared out.
    """
    group = own["memory"]
    if group != own["pids"]:
        return own
    # Version 2 lets no group that holds processes share out memory, so ours stand beside the group we are in.
    parent = group if group == MOUNT else group.parent
    if not set(own) <= set((parent / "cgroup.subtree_control").read_text().split()):
        (parent / "cgroup.subtree_control").write_text("+memory +pids")
    return dict.fromkeys(own, parent)


def _sweep(parent: Path) -> None:
    """Remove what a process that was killed could not: its groups, empty since its cells ended with it."""
    for left in parent.glob("ra3-*-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):  # not empty yet: the next one will
                left.rmdir()


def open_account() -> Account:
    """Make the groups of one cell; raises OSError where this user may not."""
    name = f"ra3-{os.getpid()}-{next(_COUNTER)}"
    own = own_groups(Path("/proc/self/cgroup").read_text())
    places = parents(own)
    for place in set(places.values()):
        _sweep(place)
    folders = {controller: place / name for controller, place in places.items()}
    made: list[Path] = []
    try:
        for folder in sorted(set(folders.values())):
            folder.mkdir()
            made.append(folder)
        account = Account(folders, own)
        account.limit(1 << 30)
    except OSError:
        for folder in made:
            folder.rmdir()
        raise
    return account
