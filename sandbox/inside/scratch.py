"""The cell's writable folder, the fork server's working one, emptied between one run and the next."""

from __future__ import annotations

import contextlib
import os
import stat


def wipe() -> bool:
    """Remove all that a run left; False where something resists, and the cell has to go."""
    with contextlib.suppress(OSError):  # not ours to change: then nobody could have changed it either
        os.chmod(".", 0o1777)  # noqa: S103  # a scratch folder like any other
    try:
        if not os.listdir():  # the common case
            return True
        _remove_all()
        return not os.listdir()
    except (OSError, RecursionError):  # such as folders a thousand deep
        return False


def _remove_all() -> None:
    """Down, opening what is locked, then up, removing; nobody is left to swap anything meanwhile."""
    for path, folders, _ in os.walk("."):
        for place in (os.path.join(path, folder) for folder in folders):
            if not os.path.islink(place):
                with contextlib.suppress(OSError):
                    os.chmod(place, stat.S_IRWXU)
    for path, folders, files in os.walk(".", topdown=False):
        for place in (os.path.join(path, name) for name in (*files, *folders)):
            with contextlib.suppress(OSError):
                os.unlink(place) if os.path.islink(place) or not os.path.isdir(place) else os.rmdir(place)
