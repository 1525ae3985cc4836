"""File access by Landlock, for a cell that has no mount namespace: what may be read, and one folder to write in."""

from __future__ import annotations

import ctypes
import os

from . import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Every kind of access that a version of Landlock knows, by the first version that knows so many."""
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def restrict(readable: list[str], writable: list[str]) -> bool:
    """Bind this process and all it starts, for good; False where the kernel has no Landlock."""
    version = _LIBC.syscall(_CREATE, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    everything = max(access for since, access in _ALL_BY_VERSION.items() if since <= version)
    ruleset = _LIBC.syscall(_CREATE, ctypes.byref(_Ruleset(everything)), ctypes.sizeof(_Ruleset), 0)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _READ_DIR | _EXECUTE)
    for path in writable:
        _allow(ruleset, path, everything)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    restricted = bool(_LIBC.syscall(_RESTRICT, ruleset, 0) == 0)
    os.close(ruleset)
    return restricted


def _allow(ruleset: int, path: str, access: int) -> None:
    fd = os.open(path, os.O_PATH)
    try:
        if not os.path.isdir(path):
            access &= _ON_A_FILE
        rule = _Beneath(access, fd)
        if _LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"landlock {path}: {os.strerror(number)}")
    finally:
        os.close(fd)
