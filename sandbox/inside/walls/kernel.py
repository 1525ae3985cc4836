"""The few Linux calls that Python's ``os`` lacks in 3.11, through ctypes."""

from __future__ import annotations

import ctypes
import os
import time

_LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 4, 24, 38, 22
PR_SET_CHILD_SUBREAPER = 36

_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_MOUNT_SETATTR = 442
_SYS_CAPGET = {"x86_64": 125, "aarch64": 90}
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CPUCLOCK_SCHED = 2
_LAST_CAPABILITY = 40


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones."""
    _check(_LIBC.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2); raises OSError naming the target."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _check(_LIBC.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount {target}")


def detach(target: str) -> None:
    """Take a mount out of sight; what is open in it stays open."""
    _check(_LIBC.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def set_mount_flags(target: str, flags: int, recursive: bool = True) -> None:
    """Add MS_RDONLY, MS_NOSUID, MS_NODEV or MS_NOEXEC to a mount and all under it (Linux 5.12)."""
    attributes = _MountAttr(set=flags)
    where = _AT_RECURSIVE if recursive else 0
    result = _LIBC.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), where, ctypes.byref(attributes), ctypes.sizeof(attributes)
    )
    _check(result, f"mount_setattr {target}")


def pivot_root(new_root: str) -> None:
    """Make ``new_root`` (the working directory too) the root, the old one out of reach."""
    os.chdir(new_root)
    _check(_LIBC.syscall(_SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    detach(".")
    os.chdir("/")


def prctl(option: int, argument: int | ctypes.c_void_p, second: object = 0) -> None:
    """prctl(2) with up to two arguments."""
    _check(_LIBC.prctl(option, argument, second, 0, 0), f"prctl {option}")


def give_back_memory() -> None:
    """Return what is free of the heap, as far as the C library can: the fewer pages, the cheaper a fork."""
    if hasattr(_LIBC, "malloc_trim"):  # musl's has none
        _LIBC.malloc_trim(0)


def drop_capabilities() -> None:
    """Empty every capability set, the bounding set first, so that nothing executed later can gain one."""
    for capability in range(_LAST_CAPABILITY + 1):
        if _LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # an older kernel knows fewer, a process without CAP_SETPCAP may drop none
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_LIBC.syscall(_SYS_CAPSET[os.uname().machine], header, nothing), "capset")


def effective_capabilities() -> int:
    """The capabilities in force for this process, as a bit set."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    _check(_LIBC.syscall(_SYS_CAPGET[os.uname().machine], header, sets), "capget")
    return int(sets[0]) | int(sets[3]) << 32


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all threads, read from its clock; 0.0 once it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return 0.0
