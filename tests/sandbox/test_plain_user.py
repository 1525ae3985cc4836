"""The backends that need no engine work for a user without any privilege."""

from __future__ import annotations

import json
import os
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
    print(json.dumps({"verdicts": [r.verdict for r in results], "layers": results[0].layers}))
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


def as_plain_user(package: Path, backend: str, programs: list[str]) -> dict[str, Any]:
    """Judge as another user, with an interpreter that everybody may run."""
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": NOBODY_IN_PARTICULAR, "group": NOBODY_IN_PARTICULAR, "extra_groups": []}
    for interpreter in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}", "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [interpreter, "-c", PROGRAM, backend],
                input=json.dumps(programs),
                capture_output=True,
                text=True,
                check=True,
                cwd=package,
                env={"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
                **user,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return dict(json.loads(done.stdout))
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
