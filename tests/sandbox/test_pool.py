"""The pool keeps order, takes no more than it can work on, loses nothing and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from docker.errors import NotFound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Asserts, Job, Limits, Result, Sandbox, SandboxUnavailable, Verdict, open_sandbox
from sandbox.backends.docker_engine import LABEL, connect
from sandbox.pool import AHEAD
from sandbox.turnstile import Turnstile
from tests.sandbox.conftest import QUICK

RIGHT = "def double(x):\n    return x + x\n"
WRONG = "def double(x):\n    return x\n"
ENDLESS = "while True:\n    pass\n"
TEST = Asserts("assert double(2) == 4\nassert double('a') == 'aa'")


def job(program: str, tag: str = "", limits: Limits = QUICK) -> Job:
    return Job(program, TEST, limits, tag)


def children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A sandbox of this test alone."""
    with open_sandbox("namespaces", workers=2) as opened:
        yield opened


@pytest.mark.medium
def test_results_come_in_the_order_of_the_jobs(sandbox: Sandbox) -> None:
    jobs = [job(ENDLESS if number == 0 else RIGHT, str(number)) for number in range(12)]
    assert [result.tag for result in sandbox.judge(jobs)] == [str(number) for number in range(12)]


@pytest.mark.medium
def test_results_may_be_had_as_they_come(sandbox: Sandbox) -> None:
    jobs = [job(ENDLESS), *[job(RIGHT)] * 6]
    numbers = [number for number, _ in sandbox.judge_as_they_come(jobs)]
    assert sorted(numbers) == list(range(7))
    assert numbers[0] != 0


@pytest.mark.medium
def test_jobs_are_taken_only_a_little_ahead_of_the_results(own: Sandbox) -> None:
    taken = 0

    def endless() -> Iterator[Job]:
        nonlocal taken
        while True:
            taken += 1
            yield job(RIGHT)

    results = own.judge(endless())
    for _ in range(5):
        next(results)
    results.close()  # type: ignore[attr-defined]  # it is a generator
    assert taken <= 5 + AHEAD * 2


def test_submitting_waits_for_room(own: Sandbox) -> None:
    patient = Limits(cpu_s=1000)
    futures = [own.submit(job(ENDLESS, limits=patient)) for _ in range(AHEAD * 2)]
    assert not own._room.acquire(blocking=False)
    late: list[Future[Result]] = []
    thread = threading.Thread(target=lambda: late.append(own.submit(job(ENDLESS, limits=patient))))
    thread.start()
    assert late == []
    futures[-1].cancel()
    thread.join()
    assert len(late) == 1


def test_an_event_loop_stays_free_while_it_streams(sandbox: Sandbox) -> None:
    async def count_beats_and_results() -> tuple[int, list[Verdict]]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0)

        heart = asyncio.create_task(beat())
        verdicts = [result.verdict async for result in sandbox.stream([job(RIGHT), job(WRONG), job(RIGHT)])]
        heart.cancel()
        return beats, verdicts

    beats, verdicts = asyncio.run(count_beats_and_results())
    assert verdicts == [Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.PASSED]
    assert beats > 3


def test_closing_the_iterator_cancels_what_is_in_hand(own: Sandbox) -> None:
    patient = Limits(cpu_s=1000)
    results = own.judge([job(RIGHT), *[job(ENDLESS, limits=patient)] * 8])
    assert next(results).verdict is Verdict.PASSED
    results.close()  # type: ignore[attr-defined]  # it is a generator
    (after,) = own.judge([job(RIGHT)])
    assert after.verdict is Verdict.PASSED


def test_closing_ends_endless_jobs_and_every_process() -> None:
    before = children()
    opened = open_sandbox("namespaces", workers=2)
    for _ in range(4):
        opened.submit(job(ENDLESS, limits=Limits(cpu_s=1000)))
    opened.close()
    assert children() == before
    with pytest.raises(SandboxUnavailable, match="closed"):
        opened.submit(job(RIGHT))


@pytest.mark.medium
def test_a_cell_that_dies_costs_no_job(own: Sandbox) -> None:
    verdicts = []
    for number, result in enumerate(own.judge([job(RIGHT)] * 30)):
        if number % 10 == 3:
            own._workers[number // 10 % 2].abort()
        verdicts.append(result.verdict)
    assert verdicts == [Verdict.PASSED] * 30


@pytest.mark.medium
def test_a_container_that_is_killed_in_mid_job_costs_no_job(docker_host: str) -> None:
    client = connect(docker_host)
    with open_sandbox("docker", workers=2) as opened:
        before = {container["Id"] for container in client.containers(filters={"label": f"{LABEL}={os.getpid()}"})}
        verdicts = []
        for number, result in enumerate(opened.judge([job(RIGHT)] * 20)):
            if number == 5:
                for identity in before:
                    with contextlib.suppress(NotFound):  # one of another sandbox of this process, which has just ended
                        client.kill(identity)
            verdicts.append(result.verdict)
        assert verdicts == [Verdict.PASSED] * 20
    client.close()


def test_closing_leaves_no_container_and_no_volume(docker_host: str) -> None:
    client = connect(docker_host)
    ours = {"label": f"{LABEL}={os.getpid()}"}

    def there() -> set[str]:
        volumes = client.volumes(filters=ours)["Volumes"] or []
        return {volume["Name"] for volume in volumes} | {c["Id"] for c in client.containers(all=True, filters=ours)}

    before = there()
    with open_sandbox("docker", workers=1) as opened:
        assert next(opened.judge([job(RIGHT)])).verdict is Verdict.PASSED
        assert there() > before
    assert there() == before
    client.close()


def test_a_named_engine_that_does_not_answer_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(SandboxUnavailable, match=r"unix:///nowhere/docker\.sock.*DOCKER_HOST"):
        open_sandbox("docker")


@pytest.mark.medium
def test_one_engine_of_several_is_enough(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix:///nowhere/docker.sock,{docker_host}")
    with open_sandbox("docker", workers=2) as opened:
        assert [result.verdict for result in opened.judge([job(RIGHT)] * 4)] == [Verdict.PASSED] * 4


def test_a_turnstile_lets_one_alone_and_the_others_together() -> None:
    turnstile, inside, most = Turnstile(), [0], [0]
    alone_with: list[int] = []
    both_in = threading.Barrier(2)

    def together() -> None:
        with turnstile.together():
            both_in.wait()
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1

    def alone() -> None:
        with turnstile.alone():
            alone_with.append(inside[0])

    threads = [threading.Thread(target=step) for step in (together, together, alone)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone_with == [0]


PROGRAMS = {"right": RIGHT, "wrong": WRONG}


@pytest.mark.medium
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=200), descriptor=st.integers(1, 40), order=st.permutations(range(3)))
def test_no_output_changes_another_jobs_verdict(
    sandbox: Sandbox, noise: bytes, descriptor: int, order: list[int]
) -> None:
    hostile = f"import os\ntry:\n    os.write({descriptor}, {noise!r})\nexcept OSError:\n    pass\n{WRONG}"
    jobs = [job(RIGHT), job(hostile), job(WRONG)]
    verdicts = list(sandbox.judge([jobs[number] for number in order]))
    told = {number: result.verdict for number, result in zip(order, verdicts, strict=True)}
    assert told[0] is Verdict.PASSED
    assert told[1] is not Verdict.PASSED
    assert told[1] is not Verdict.SANDBOX_ERROR
    assert told[2] is Verdict.WRONG_ANSWER


LAUNCH = """
import os, sys
from sandbox import Asserts, Job, Limits, open_sandbox
with open_sandbox("namespaces", workers=1) as sandbox:
    sandbox.submit(Job("while True: pass", Asserts(""), Limits(cpu_s=1000)))
    print(*open(f"/proc/self/task/{os.getpid()}/children").read().split(), flush=True)
    sys.stdin.read()
"""


def test_a_supervisor_that_is_killed_leaves_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        cells = [int(pid) for pid in supervisor.stdout.readline().split()]
        ends = [os.pidfd_open(pid) for pid in cells]
        supervisor.kill()
    assert len(cells) == 2
    for end in ends:
        assert select.select([end], [], [], 60)[0], "a cell outlived its supervisor"
        os.close(end)
