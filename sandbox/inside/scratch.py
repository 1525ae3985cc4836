"""The folders of a cell that can be written, the fork server's working one first, emptied between runs."""

from __future__ import annotations

import contextlib
import os
import stat

PROGRAM_FILE = "main.py"
"""What a whole program is called in the working folder."""
_MODE = 0o1777
"""As any folder that all may write to."""


def put(name: str, content: bytes) -> None:
    """A file in the working folder for the next run to read."""
    with open(name, "wb") as file:
        file.write(content)


def take(name: str, most: int) -> bytes:
    """What a run left in a file of the working folder, one byte over ``most`` at most; nothing where it left none.

    It may have left anything under that name: a link is not followed, a pipe not waited for.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        return _read(fd, most + 1) if regular else b""
    finally:
        os.close(fd)


def _read(fd: int, most: int) -> bytes:
    content = bytearray()
    while len(content) < most and (chunk := os.read(fd, most - len(content))):
        content += chunk
    return bytes(content)


def lockable(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Those that a run could lock: what is not ours to change is nobody's."""
    ours = []
    for folder in folders:
        with contextlib.suppress(OSError):
            os.chmod(folder, _MODE)
            ours.append(folder)
    return tuple(ours)


def wipe(folders: tuple[str, ...], locked: tuple[str, ...]) -> bool:
    """Remove all that a run left, once what it may have ``locked`` is open; False where something resists."""
    clean = True
    for folder in folders:
        try:
            if folder in locked:
                os.chmod(folder, _MODE)
            left = os.listdir(folder)
            clean = (not left or _is_emptied(folder, left)) and clean
        except (OSError, RecursionError):  # such as folders a thousand deep
            clean = False
    return clean


def _is_emptied(folder: str, left: list[str]) -> bool:
    if left == [PROGRAM_FILE]:  # a whole program's own file
        with contextlib.suppress(OSError):  # something else of that name
            os.unlink(os.path.join(folder, PROGRAM_FILE))
            return True
    _remove_all(folder)
    return not os.listdir(folder)


def _remove_all(folder: str) -> None:
    """Down, opening what is locked, then up, removing; nobody is left to swap anything meanwhile."""
    for path, folders, _ in os.walk(folder):
        for place in (os.path.join(path, folder) for folder in folders):
            if not os.path.islink(place):
                with contextlib.suppress(OSError):
                    os.chmod(place, stat.S_IRWXU)
    for path, folders, files in os.walk(folder, topdown=False):
        for place in (os.path.join(path, name) for name in (*files, *folders)):
            with contextlib.suppress(OSError):
                os.unlink(place) if os.path.islink(place) or not os.path.isdir(place) else os.rmdir(place)
