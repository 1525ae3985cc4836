"""From an ordinary process into a cell of Linux namespaces.

Called once, by the launcher of a cell, before anything untrusted exists. Everything that will be needed later is
already imported or under the new root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from typing import Any, NamedTuple

from . import kernel

NOBODY = 65534
"""Who everything inside a cell is."""
_CONFINED = kernel.MS_NOSUID | kernel.MS_NODEV


def enter(config: dict[str, Any]) -> int | None:
    """Become init of a cell; returns a descriptor of its /proc, None where none may be mounted.

    ``config`` has ``root`` (a folder to build on) and by path what is in it: ``readable`` (bound read-only, and from
    where), ``hidden`` (folders of these that are left empty), ``devices``, ``links``, ``files``, ``tmpfs`` (mount
    options). Raises OSError for a layer that the kernel refuses. The calling process stays behind as the parent, and
    ends as its child does.
    """
    groups = [_open_group(*each) for each in config["groups"].items()]  # which has to be done from outside
    _new_namespaces()
    _build_root(config)
    socket.sethostname(config["hostname"])
    _become_child(groups)
    proc = _open_proc(config["root"] + "/proc")  # while the outer /proc, which the kernel compares it with, is in sight
    kernel.pivot_root(config["root"])
    kernel.set_mount_flags("/", kernel.MS_RDONLY | _CONFINED, recursive=False)
    _become_nobody()
    return proc


def _new_namespaces() -> None:
    """New namespaces of every kind, with user ids mapped: nobody, and root too while root builds the file system."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        os.setgroups([])
    told, tell = os.pipe()
    mapper = os.fork()  # only a process outside may map more than its own id
    if mapper == 0:
        os.close(tell)
        os.read(told, 1)
        _map_ids(os.getppid(), uid, gid)
        os._exit(0)
    os.close(told)
    kernel.unshare(
        kernel.CLONE_NEWUSER
        | kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )
    os.close(tell)
    if os.waitpid(mapper, 0)[1] != 0:
        raise OSError("the user ids could not be mapped")
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)


def _map_ids(pid: int, uid: int, gid: int) -> None:
    kinds = {"uid_map": uid, "gid_map": gid}
    if uid == 0:
        maps = dict.fromkeys(kinds, f"0 0 1\n{NOBODY} {NOBODY} 1\n")
    else:
        maps = {kind: f"{NOBODY} {own} 1\n" for kind, own in kinds.items()}
        _write(f"/proc/{pid}/setgroups", "deny")
    for kind, text in maps.items():
        _write(f"/proc/{pid}/{kind}", text)


def _write(path: str, text: str, flags: int = 0) -> None:
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    os.write(fd, text.encode())
    os.close(fd)


def _build_root(config: dict[str, Any]) -> None:
    root = config["root"]
    kernel.mount("tmpfs", root, "tmpfs", _CONFINED, "size=1m,nr_inodes=4k,mode=755")
    for path, source in config["readable"].items():
        _bind(source, root + path)
        kernel.set_mount_flags(root + path, kernel.MS_RDONLY | _CONFINED)
    for path in config["hidden"]:
        kernel.mount("tmpfs", root + path, "tmpfs", _CONFINED | kernel.MS_RDONLY, "size=4k,nr_inodes=1")
    for device in config["devices"]:
        _bind(f"/dev/{device}", f"{root}/dev/{device}")
    for link, target in config["links"].items():
        os.symlink(target, root + link)
    for path, text in config["files"].items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        _write(root + path, text, os.O_CREAT)
    for folder, options in config["tmpfs"].items():
        os.mkdir(root + folder)
        kernel.mount("tmpfs", root + folder, "tmpfs", _CONFINED | kernel.MS_NOEXEC, options)
    os.mkdir(f"{root}/proc")


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)


class Group(NamedTuple):
    """A control group of the cell, as its launcher holds it."""

    name: str
    parent: int
    """A descriptor of the folder that it is in."""
    way_out: int
    """The file by which the launcher leaves it."""


def _open_group(path: str, way_out: str) -> Group:
    parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    return Group(os.path.basename(path), parent, os.open(way_out, os.O_WRONLY))


def _become_child(groups: list[Group]) -> None:
    """Fork: the child is init of the new pid namespace and goes on; the parent waits for it and ends as it does.

    To end a cell its parent is asked, which reaps what it kills: no orphan is left to an init that does not reap, and
    no control group by a supervisor that was killed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid != 0:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    kept = sorted(fd for group in groups for fd in (group.parent, group.way_out))
    if pid == 0:
        for fd in kept:
            os.close(fd)
        return
    for low, high in zip([-1, *kept], [*kept, 1 << 16], strict=True):
        os.closerange(low + 1, high)
    for group in groups:
        with contextlib.suppress(OSError):  # then the supervisor, or the next one, removes it
            os.write(group.way_out, b"0")
    status = os.waitpid(pid, 0)[1]
    for group in groups:
        _remove(group)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _remove(group: Group) -> None:
    """The kernel lets go of an ended process a moment after it is reaped."""
    for _ in range(200):
        try:
            return os.rmdir(group.name, dir_fd=group.parent)
        except FileNotFoundError:
            return None
        except OSError:
            time.sleep(0.005)
    return None


def _open_proc(where: str) -> int | None:
    """A /proc that only its descriptor reaches, and one of processes alone in sight, for /dev/stdin and its like.

    None where the outer one is masked, as in a container: the kernel allows no other then.
    """
    try:
        kernel.mount("proc", where, "proc", _CONFINED | kernel.MS_NOEXEC)
    except OSError:
        return None
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    kernel.detach(where)
    kernel.mount("proc", where, "proc", _CONFINED | kernel.MS_NOEXEC | kernel.MS_RDONLY, "subset=pid")
    return fd


def _become_nobody() -> None:
    os.chdir("/tmp")  # noqa: S108  # the cell's own
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which forgets it
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    sys.path[:] = [path for path in sys.path if not path.startswith("/tmp")]  # noqa: S108
