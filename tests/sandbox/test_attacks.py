"""Every program in ``attacks/`` gets its honest verdict on every backend, and the host is as it was.

A program says in its first lines what it tries, which verdict it deserves, where the report is to name it, with which
trick and, where its tests are to be counted, how many of them it passes. ``{CANARY}`` in it is a file of the host,
``{PORT}`` a port on which the host listens.
"""

from __future__ import annotations

import os
import re
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox import Asserts, Calls, Job, Limits, Program, Result, Sandbox, Stdio, Verdict
from sandbox.inside.protocol.sealed import LARGE
from tests.sandbox.conftest import QUICK

pytestmark = pytest.mark.slow

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))
ASSERTS = Asserts(
    "assert double(3) == 6\n"
    "assert double([1, 2]) == [1, 2, 1, 2]\n"
    "assert abs(double(0.5) - 1.0) < 1e-9\n"
    "assert double('ab') == 'abab'\n"
    "held = [1, 2]\n"
    "assert double(held) == [1, 2, 1, 2] and held == [1, 2]\n"
)
TESTS: dict[str, Asserts | Calls | Program | Stdio] = {
    "calls": ASSERTS,
    "large": Calls("double", ((([0] * LARGE,), [0] * (2 * LARGE)),)),
    "program": Program(),
    "stdio": Stdio((("3\n", "6\n"), ("10\n", "20\n"))),
}
ROOMY = Limits(cpu_s=10, memory_mb=128)
"""For what fills the memory: on a busy machine that takes its time, and the CPU is not to be what ends it."""
OWN_TEST = "# --- test\n"
HONEST = Job("def double(x):\n    return x + x\n", ASSERTS, QUICK)


@dataclass(frozen=True)
class Attack:
    """A program of the suite and what it deserves."""

    program: str
    test: Asserts | Calls | Program | Stdio
    verdict: Verdict
    trick: str | None
    limits: Limits
    passed: str | None
    """Such as 1/5."""


def read(path: Path) -> Attack:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    said = dict(re.findall(r"^# (\w+): (.+)$", text, re.MULTILINE))
    program, _, own_test = text.partition(OWN_TEST)
    test = Asserts(own_test) if own_test else TESTS[said.get("Test", "calls")]
    limits = Limits(cpu_s=10) if "import" in own_test else QUICK  # numpy and its like take their time
    return Attack(program, test, Verdict(said["Verdict"]), said.get("Trick"), limits, said.get("Passed"))


def _mounts_within_reach() -> list[str]:
    """Mounts at the places that an attack knows of; others come and go with what else runs on this machine."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point in ("/", "/tmp", "/proc", "/sys", "/dev", "/usr", "/lib")]  # noqa: S108


class Host:
    """What an attack may not touch: a file, a server, an abstract socket, the processes and mounts of this machine."""

    def __init__(self, folder: Path) -> None:
        self.canary = folder / "canary"
        self.canary.write_text("untouched")
        self._servers = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
        self._servers[1].bind(f"\0ra3-canary-{os.getpid()}")
        self._servers[1].listen()
        self.port = self._servers[0].getsockname()[1]
        self._before = self._seen()

    def _seen(self) -> dict[str, object]:
        return {
            "name": os.uname().nodename,
            "mounts": _mounts_within_reach(),
            "shared memory": Path("/proc/sysvipc/shm").read_text(),
            "in the folder": sorted(os.listdir(self.canary.parent)),  # noqa: PTH208
            "canary": self.canary.read_text(),
            "root": sorted(name for name in os.listdir("/") if name == "pwned"),  # noqa: PTH208
            "library": Path(os.__file__).stat().st_mtime_ns,
        }

    def assert_unchanged(self) -> None:
        called = select.select(self._servers, [], [], 0)[0]
        assert not called, "somebody connected to a server of the host"
        assert self._seen() == self._before

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    watched = Host(tmp_path_factory.mktemp("host"))
    yield watched
    watched.close()


def attack_on(sandbox: Sandbox, host: Host, path: Path) -> tuple[Attack, Result]:
    attack = read(path)
    program = attack.program.replace("{CANARY}", str(host.canary)).replace("{PORT}", str(host.port))
    program = program.replace("ra3-canary", f"ra3-canary-{os.getpid()}")
    limits = ROOMY if attack.verdict is Verdict.MEMORY_LIMIT else attack.limits
    (result,) = sandbox.judge([Job(program, attack.test, limits, count=attack.passed is not None)])
    return attack, result


@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_an_attack_gets_its_honest_verdict_and_the_host_is_unchanged(sandbox: Sandbox, host: Host, path: Path) -> None:
    attack, result = attack_on(sandbox, host, path)
    assert result.verdict is attack.verdict, f"{result.detail} {result.stderr[-500:]}"
    host.assert_unchanged()
    if attack.trick is not None:
        assert attack.trick in result.tricks
    if attack.passed is not None:
        assert f"{result.tests_passed}/{result.tests}" == attack.passed


def test_an_honest_program_passes_after_all_of_them(sandbox: Sandbox) -> None:
    assert [result.verdict for result in sandbox.judge([HONEST] * 8)] == [Verdict.PASSED] * 8


def test_there_are_attacks_enough() -> None:
    assert len(ATTACKS) >= 80
