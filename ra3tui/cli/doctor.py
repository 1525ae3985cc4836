"""``ra3 doctor``: what this machine has, and what it lacks for ra3 to work."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from ra3tui.cli.exit import Exit
from ra3tui.cli.options import HOME, AsJson, Home, print_json, stdout

_LEAST_DISK_GB = 2.0  # a small model's checkpoints
_LEAST_MEMORY_GB = 2.0
_PROBE_SECONDS = 120

# Run in a process of its own: it costs seconds, and a broken driver may end it.
_DEVICE_PROBE = """
import json, torch
cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({"cuda": cuda, "mps": torch.backends.mps.is_available()}))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    needed: bool
    """Whether ra3 cannot work without it."""
    found: str
    """What was found, or how to mend it."""


def doctor(as_json: AsJson = False, home: Home = HOME) -> None:
    """Look at what ra3 needs on this machine; exit code 3 says that something is missing."""
    checks = list(examine(home))
    healthy = all(check.ok for check in checks if check.needed)
    if as_json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    raise typer.Exit(Exit.DONE if healthy else Exit.ENVIRONMENT)


def examine(home: Path) -> Iterator[Check]:
    """Every check, each made by trying."""
    version = platform.python_version()
    yield Check("python", sys.version_info >= (3, 11), True, f"{version} at {sys.executable}")
    yield from _packages()
    yield Check("cores", True, False, f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} usable")
    yield _memory()
    yield _folder("home", home)
    yield _cache()
    yield _devices()
    yield from _sandboxes()


def _packages() -> Iterator[Check]:
    """The packages that ra3 itself says it needs."""
    for requirement in importlib.metadata.requires("ra3") or []:
        if "extra ==" in requirement:
            continue
        name = requirement.split(";")[0].split("[")[0].strip()
        name = name[: next((i for i, c in enumerate(name) if c in "<>=!~ "), len(name))]
        try:
            yield Check(name, True, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, False, True, f"not installed: pip install '{requirement}'")


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 1e9
    return Check("memory", free >= _LEAST_MEMORY_GB, False, f"{free:.1f} GB free of {memory.total / 1e9:.1f} GB")


def _folder(name: str, folder: Path) -> Check:
    """Whether ``folder`` can be written, and how much fits in it."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    writable = os.access(existing, os.W_OK | os.X_OK)
    return Check(
        name,
        writable and free >= _LEAST_DISK_GB,
        True,
        f"{folder}: {free:.1f} GB free" + ("" if writable else f", but {existing} is not writable"),
    )


def _cache() -> Check:
    from platformdirs import user_cache_path

    return _folder("cache", user_cache_path("ra3"))


def _devices() -> Check:
    """Which accelerators torch finds; none is no fault."""
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _DEVICE_PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        return Check("devices", False, True, f"torch did not come up within {_PROBE_SECONDS} s")
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        return Check("devices", False, True, f"torch does not work here: {last}")
    devices = json.loads(probe.stdout.splitlines()[-1])
    names = [f"cuda:{i} {name}" for i, name in enumerate(devices["cuda"])] + (["mps"] if devices["mps"] else [])
    return Check("devices", True, True, ", ".join([*names, "cpu"]))


def _sandboxes() -> Iterator[Check]:
    """Each backend, tried on a program; one that isolates is needed to judge anything."""
    from sandbox.trial import try_every_backend

    trials = try_every_backend()
    for trial in trials:
        yield Check(f"sandbox {trial.backend}", trial.works, False, ", ".join(trial.layers) or trial.trouble)
    isolating = [trial.backend for trial in trials if trial.works and trial.backend != "process"]
    yield Check("sandbox", bool(isolating), True, ", ".join(isolating) or "no backend isolates here: see above")


def _print(checks: list[Check]) -> None:
    from rich import box
    from rich.table import Table

    table = Table("", "what", "found", box=box.SIMPLE_HEAD, pad_edge=False)
    for check in checks:
        table.add_row("ok" if check.ok else ("MISSING" if check.needed else "no"), check.name, check.found)
    stdout().print(table)
