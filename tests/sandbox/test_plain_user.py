"""The backends that need no engine work for a user without any privilege."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox

NOBODY_IN_PARTICULAR = 12345
PROGRAM = """
import json, sys
from sandbox import Asserts, Job, Limits, SandboxUnavailable, open_sandbox
programs = json.load(sys.stdin)
limits = Limits(cpu_s=1, memory_mb=256)
try:
    with open_sandbox(sys.argv[1], workers=1) as box:
        results = list(box.judge(Job(program, Asserts("assert double(2) == 4"), limits) for program in programs))
    first = results[0]
    print(json.dumps({"verdicts": [r.verdict for r in results], "layers": first.layers, "packages": first.packages}))
except SandboxUnavailable as error:
    print(json.dumps({"unavailable": str(error)}))
"""
RIGHT = "def double(x):\n    return 2 * x\n"
NO_SOCKETS = "import socket\nsocket.socket()\n"
MEMORY = "held = bytearray(b'x') * (1 << 30)\n"
SCRATCH = f"open('mine', 'w').write('x')\n{RIGHT}"
SIGNALS = f"import os\ntry:\n    os.kill(os.getppid(), 0)\nexcept OSError:\n    pass\n{RIGHT}"


@pytest.fixture(scope="module")
def package() -> Iterator[Path]:
    """A copy of the package that everybody may read."""
    folder = Path(tempfile.mkdtemp(prefix="ra3-test-"))
    shutil.copytree(Path(sandbox.__file__).parent, folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


EARLY = """
import os, signal, sys, time
from sandbox import Job, Limits, Program, open_sandbox
FAMILY = "import os\\nfor n in range(3):\\n    if os.fork() == 0:\\n        os.setsid()\\n"
FAMILY += "print(1, flush=True)\\nwhile True:\\n    pass\\n"

def running():
    return {name for name in os.listdir("/proc") if name.isdecimal() and owner(name) == os.getuid()}

def owner(name):
    try:
        return os.stat(f"/proc/{name}").st_uid
    except OSError:
        return None

before = running()
box = open_sandbox(sys.argv[1], workers=1)
box.submit(Job(FAMILY, Program(), Limits(cpu_s=1000)))
while len(running() - before) < 2 + 8:  # two cells, and a family of eight
    time.sleep(0.01)
if sys.stdin.read():
    os.kill(os.getpid(), signal.SIGKILL)
box.close()
print('"closed"')
"""


def as_plain_user(package: Path, backend: str, programs: list[str]) -> dict[str, Any]:
    """Judge as another user, with an interpreter that everybody may run."""
    return dict(json.loads(run_as_plain_user(package, PROGRAM, backend, json.dumps(programs)).stdout))


def run_as_plain_user(package: Path, script: str, backend: str, stdin: str) -> subprocess.CompletedProcess[str]:
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": NOBODY_IN_PARTICULAR, "group": NOBODY_IN_PARTICULAR, "extra_groups": []}
    for interpreter in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}", "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [interpreter, "-c", script, backend],
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                cwd=package,
                env={"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
                **user,
            )
        except OSError:
            continue
        if done.returncode <= 0:  # else this interpreter is not one that such a user can use
            return done
    pytest.skip("no Python 3.11 here that a plain user may run: the interpreter of these tests is root's own")


@pytest.mark.medium
@pytest.mark.parametrize("backend", ["namespaces", "process"])
def test_a_plain_user_gets_the_same_verdicts(package: Path, backend: str) -> None:
    told = as_plain_user(package, backend, [RIGHT, RIGHT.replace("2", "3"), NO_SOCKETS, MEMORY, SCRATCH, SIGNALS])
    verdicts = ["passed", "wrong_answer", "forbidden", "memory_limit", "passed", "passed"]
    assert told.get("verdicts") == verdicts, told
    assert {"unprivileged user", "seccomp"} <= set(told["layers"])


def test_with_landlock_the_process_backend_keeps_the_hosts_files_to_itself(package: Path) -> None:
    canary = package / "canary"
    canary.write_text("secret")
    told = as_plain_user(package, "process", [f"open({str(canary)!r}).read()\n{RIGHT}"])
    if "landlock" not in told["layers"]:
        pytest.skip("this kernel has no Landlock")
    assert told["verdicts"] == ["runtime_error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_the_process_backend_refuses_root() -> None:
    with pytest.raises(sandbox.SandboxUnavailable, match="plain user"):
        sandbox.open_sandbox("process")


def processes_of_nobody() -> list[str]:
    """Processes of that user, however they came to be."""
    return [path.name for path in Path("/proc").glob("[0-9]*") if _owner(path) == NOBODY_IN_PARTICULAR]


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:  # it has just ended
        return None


@pytest.mark.skipif(os.geteuid() != 0, reason="processes of another user are counted")
@pytest.mark.parametrize("backend", ["namespaces", "process"])
def test_an_early_close_leaves_nothing_running(package: Path, backend: str) -> None:
    assert run_as_plain_user(package, EARLY, backend, "").stdout == '"closed"\n'
    assert processes_of_nobody() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="processes of another user are counted")
@pytest.mark.parametrize("backend", ["namespaces", "process"])
def test_a_supervisor_that_is_killed_leaves_nothing_running(package: Path, backend: str) -> None:
    assert run_as_plain_user(package, EARLY, backend, "kill").returncode == -9
    for pid in processes_of_nobody():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            end = os.pidfd_open(int(pid))
            assert select.select([end], [], [], 60)[0], "a process outlived its supervisor"
            os.close(end)


@pytest.mark.medium
def test_what_the_process_backend_lends_is_what_the_others_lend(package: Path) -> None:
    told = {
        backend: as_plain_user(package, backend, [f"{RIGHT}import zoneinfo\nzoneinfo.ZoneInfo('Europe/Paris')\n"])
        for backend in ("namespaces", "process")
    }
    assert told["process"]["verdicts"] == told["namespaces"]["verdicts"]
    assert told["process"]["packages"] == told["namespaces"]["packages"]
