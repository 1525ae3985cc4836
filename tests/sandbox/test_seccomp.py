"""The filter's table says what the kernel's headers say, and its program answers as the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.inside.walls import seccomp

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
KILL, ALLOW, EPERM, ENOSYS = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026
MACHINES = list(HEADERS)
TABLE = seccomp.KILLED | seccomp.REFUSED


def answer(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the kernel would do: an interpreter of the few instructions that the filter is made of."""
    told = {0: number, 4: architecture or seccomp.ARCHITECTURES[machine], 16: argument}
    program, accumulator, at = seccomp.instructions(machine), 0, 0
    while True:
        operation, if_true, if_false, operand = program[at]
        at += 1
        if operation == 0x20:
            accumulator = told[operand]
        elif operation == 0x06:
            return operand
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            at += if_true if holds[operation] else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"no kernel headers here: {HEADERS[machine]}")
    text = HEADERS[machine].read_text()
    kernels = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    column = MACHINES.index(machine)
    assert {name: numbers[column] for name, numbers in TABLE.items()} == {name: kernels.get(name) for name in TABLE}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_is_answered_as_the_table_says(machine: str) -> None:
    column = MACHINES.index(machine)
    killed = {numbers[column] for numbers in seccomp.KILLED.values()}
    refused = {numbers[column] for numbers in seccomp.REFUSED.values()}
    special = {435, {"x86_64": 302, "aarch64": 261}[machine]}
    for number in range(seccomp.NEWEST_KNOWN + 1):
        wanted = KILL if number in killed else EPERM if number in refused else ALLOW
        assert number in special or answer(machine, number) == wanted, number


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_newer_than_the_table_does_not_exist(machine: str) -> None:
    assert answer(machine, seccomp.NEWEST_KNOWN + 1) == ENOSYS
    assert answer(machine, 435) == ENOSYS


def test_another_architectures_calls_end_it() -> None:
    assert answer("x86_64", 39, architecture=0x40000003) == KILL
    assert answer("x86_64", 0x40000000 + 39) == KILL


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_threads_may_be_cloned_and_namespaces_may_not(machine: str, clone: int) -> None:
    assert answer(machine, clone, 0x3D0F00) == ALLOW
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, namespace | 17) == KILL


@pytest.mark.parametrize(("machine", "prlimit"), [("x86_64", 302), ("aarch64", 261)])
def test_limits_may_be_asked_of_oneself_alone(machine: str, prlimit: int) -> None:
    assert answer(machine, prlimit, 0) == ALLOW
    assert answer(machine, prlimit, 1) == EPERM


def test_an_architecture_without_a_table_is_refused() -> None:
    with pytest.raises(OSError, match="riscv64"):
        seccomp.instructions("riscv64")
