"""One sandbox a backend for the whole run, and what a test needs to see that the host is as it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from sandbox import Job, Limits, Result, Sandbox, SandboxUnavailable, open_sandbox
from sandbox.backends.cell import CellLost
from sandbox.backends.docker_engine import check_image, connect
from sandbox.backends.image import build_from_host
from sandbox.backends.packages import chosen_here

settings.register_profile("busy machine", deadline=None)  # how long an example takes is no property of ours
settings.load_profile("busy machine")

QUICK = Limits(cpu_s=0.5, memory_mb=256, output_bytes=1 << 16, wall_factor=2.0, deadline_s=5.0)

Judge = Callable[..., Result]


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """Where the engine for the tests answers; what needs one is skipped, with the reason, where none does."""
    host = os.environ.get("RA3_TEST_DOCKER_HOST") or os.environ.get("DOCKER_HOST")
    if not host:
        pytest.skip("no Docker engine named: set RA3_TEST_DOCKER_HOST to an engine's socket to run the Docker tests")
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = host
    _build_image_if_needed(host)
    yield host
    if before is None:
        del os.environ["DOCKER_HOST"]
    else:
        os.environ["DOCKER_HOST"] = before


def _build_image_if_needed(host: str) -> None:
    try:
        client = connect(host)
    except CellLost as error:
        pytest.skip(f"the Docker tests do not run: {error}")
    try:
        has = {name: package.version for name, package in check_image(client).items()}
    except CellLost:
        has = {}
    if has != {package.name: package.version for package in chosen_here("auto")}:  # of another environment
        build_from_host(client, print)
    client.close()


@pytest.fixture(scope="session", params=["namespaces", "docker"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of two workers, shared by all tests: what one job did must not matter to the next."""
    if request.param == "docker":
        request.getfixturevalue("docker_host")
    try:
        opened = open_sandbox(request.param, workers=2)
    except SandboxUnavailable as error:
        if request.param == "namespaces":
            raise
        pytest.skip(f"the Docker backend does not work here: {error}")
    with opened:
        yield opened


@pytest.fixture
def judge(sandbox: Sandbox) -> Judge:
    """Judge one program against one test."""

    def judge_one(program: str, test: object, limits: Limits = QUICK) -> Result:
        (result,) = sandbox.judge([Job(program, test, limits)])  # type: ignore[arg-type]  # any of the tests
        return result

    return judge_one
