"""The cell's writable folder, the fork server's working one, emptied between one run and the next."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat


def wipe() -> bool:
    """Remove all that a run left; False where something resists, and the cell has to go."""
    with contextlib.suppress(OSError):  # not ours to change: then nobody could have changed it either
        os.chmod(".", 0o1777)  # noqa: S103, PTH101  # a scratch folder like any other
    try:
        if os.listdir():  # noqa: PTH208  # the common case, in one call
            _remove_all()
        return not os.listdir()  # noqa: PTH208
    except (OSError, RecursionError):  # such as folders a thousand deep
        return False


def _remove_all() -> None:
    for path, folders, _ in os.walk("."):
        for folder in folders:
            place = os.path.join(path, folder)  # noqa: PTH118
            if not os.path.islink(place):  # noqa: PTH114  # nobody is left to swap it for a link meanwhile
                with contextlib.suppress(OSError):
                    os.chmod(place, stat.S_IRWXU)  # noqa: PTH101
    for entry in os.scandir():
        with contextlib.suppress(OSError, RecursionError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108
