"""How much memory the machine has left for this process. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes this process may still take before the machine, or a control group it is in, runs out."""
    machine: int = psutil.virtual_memory().available
    return min([machine, *_rooms(Path("/proc/self/cgroup"), _GROUPS)])


def _rooms(membership: Path, mount: Path) -> Iterator[int]:
    """What is left in each control group with a memory limit, of version 2 and version 1."""
    if not membership.is_file():  # no Linux
        return
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _room(mount, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _room(mount / "memory", path, *names)


def _room(mount: Path, path: str, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    """Of the group and those above it; inside a container they may not be there by that name, its own is the mount."""
    inner = mount / path.lstrip("/")
    for folder in (inner, *inner.parents):
        if folder.is_relative_to(mount):
            yield from _left(folder, limit, usage, reclaimable)


def _left(folder: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:  # no such controller here
        return
    if most != "max":
        yield int(most) - used + int(stat.get(reclaimable, 0))
