"""How the process that opens a sandbox was started matters to no verdict, and how it ends leaves nothing."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import Job, Limits, Result, Sandbox, Verdict
from tests.sandbox.test_pool import RIGHT, TEST, job

PRELUDE = """
import ctypes, os, resource, signal, sys, threading
from sandbox import Asserts, Calls, Job, Limits, Program, open_sandbox
RIGHT = "def double(x):\\n    with open('note', 'w') as file:\\n        file.write('x')\\n    return 2 * x\\n"
CHILD = "import subprocess, os\\ndef double(x):\\n    pid = os.fork()\\n    if pid == 0: os._exit(7)\\n"
CHILD += "    return 2 * x if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7 else 0\\n"
def nested(depth):
    value = 7
    for _ in range(depth):
        value = [value]
    return value
DEEP = nested(4900)
def judge():
    jobs = [Job(program, Asserts("assert double(2) == 4")) for program in (RIGHT, CHILD)]
    jobs.append(Job("def same(x):\\n    return x\\n", Calls("same", (((DEEP,), DEEP),))))
    with open_sandbox("namespaces", workers=1) as box:
        verdicts = [str(result.verdict) for result in box.judge(jobs)]
    with open(sys.argv[1], "w") as told:
        told.write(" ".join(verdicts))
"""
SURROUNDINGS = {
    "a umask that takes everything": "os.umask(0o777)\n",
    "closed standard streams": "for fd in (0, 1, 2): os.close(fd)\n",
    "closed standard input": "os.close(0)\n",
    "children that nobody waits for": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n",
    "blocked signals": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\n",
    "few descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n",
    "a small stack": (  # from the start of the process: the library of threads reads it then
        "if len(sys.argv) == 2:\n"
        "    resource.setrlimit(resource.RLIMIT_STACK, (1 << 19, resource.getrlimit(resource.RLIMIT_STACK)[1]))\n"
        "    os.execv(sys.executable, [*sys.orig_argv, 'again'])\n"
    ),
}


def run(script: str, told: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PRELUDE + script, str(told)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS.keys())
def test_strange_surroundings_change_no_verdict(tmp_path: Path, surroundings: str) -> None:
    told = tmp_path / "told"
    told.touch()
    done = run(f"{surroundings}judge()\n", told)
    assert told.read_text() == "passed passed passed", done.stderr


@pytest.mark.parametrize(
    "shortage",
    [
        "resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
        'threading.Thread.start = lambda self: (_ for _ in ()).throw(RuntimeError("can\'t start new thread"))',
    ],
    ids=["descriptors", "threads"],
)
def test_what_is_too_little_is_told_in_one_line(tmp_path: Path, shortage: str) -> None:
    done = run(
        "from sandbox import SandboxUnavailable\n"
        f"{shortage}\ntry:\n    judge()\nexcept SandboxUnavailable as error:\n    os.write(2, str(error).encode())\n",
        tmp_path / "told",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("namespaces: ")
    assert "\n" not in done.stderr


def test_no_zombie_is_left_to_a_parent_that_adopts_and_does_not_reap(tmp_path: Path) -> None:
    told = tmp_path / "told"
    adopt = "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"  # PR_SET_CHILD_SUBREAPER
    left = "open(sys.argv[1], 'a').write(open(f'/proc/self/task/{os.getpid()}/children').read())\n"
    done = run(f"{adopt}judge()\n{left}", told)
    assert told.read_text() == "passed passed passed", done.stderr


WORKING = """
box = open_sandbox("namespaces", workers=1)
list(box.judge([Job(RIGHT, Asserts("assert double(2) == 4"))]))
box.submit(Job("while True: pass", Program(), Limits(cpu_s=1000)))
print("working", flush=True)
signal.pause()
"""


def groups_of(pid: int) -> list[str]:
    return [str(path) for path in Path("/sys/fs/cgroup").rglob(f"ra3-{pid}-*") if path.is_dir()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_that_ends_the_supervisor_leaves_no_control_group(number: signal.Signals) -> None:
    words = [sys.executable, "-c", PRELUDE + WORKING]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "working\n"
        cells = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        ends = [os.pidfd_open(int(cell)) for cell in cells]
        supervisor.send_signal(number)
    for end in ends:
        assert select.select([end], [], [], 60)[0], "a cell outlived its supervisor"
        os.close(end)
    assert groups_of(supervisor.pid) == []


UNTELLABLE = [
    Job(None, TEST),  # type: ignore[arg-type]  # that is the point
    Job(RIGHT, None),  # type: ignore[arg-type]
    Job(RIGHT, TEST, Limits(cpu_s=float("nan"))),
    Job(RIGHT, TEST, None),  # type: ignore[arg-type]
]


@pytest.mark.medium
@pytest.mark.parametrize("odd", UNTELLABLE, ids=["no program", "no test", "no number", "no limits"])
def test_a_job_that_cannot_be_told_is_that_jobs_result(sandbox: Sandbox, odd: Job) -> None:
    before, result, after = sandbox.judge([job(RIGHT), odd, job(RIGHT)])
    assert isinstance(result, Result)
    assert result.verdict is Verdict.SANDBOX_ERROR
    assert (before.verdict, after.verdict) == (Verdict.PASSED, Verdict.PASSED)
