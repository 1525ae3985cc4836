"""How a cell begins: ``main()`` reads one frame of configuration and becomes the fork server."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from . import forkserver, frames, isolate

_CONTROL_IN, _CONTROL_OUT = 200, 201


def main() -> None:
    """Be a cell, on standard input and output, until the supervisor hangs up."""
    frame = frames.read_frame(0, frames.CONTROL_LIMIT)
    if frame is None:
        return
    config = json.loads(frame)
    os.dup2(0, _CONTROL_IN, inheritable=False)
    os.dup2(1, _CONTROL_OUT, inheritable=False)
    try:
        _serve(config)
    except (OSError, forkserver.CellError) as error:
        trouble = json.dumps({"trouble": f"{type(error).__name__}: {error}"})
        frames.write_frame(_CONTROL_OUT, trouble.encode("ascii"))


def _serve(config: dict[str, Any]) -> None:
    link = socket.socket(fileno=config["link"])
    proc = isolate.enter(config)
    cell = forkserver.Cell(
        control_in=_CONTROL_IN,
        control_out=_CONTROL_OUT,
        link=link,
        proc=proc,
        count_processes=True,
        filtered=True,
    )
    forkserver.ForkServer(cell).serve()
