"""One sandbox for all engines of this process: to open one takes longer than a small run has to judge."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache

import pytest

from engine.runs import launches
from sandbox import Sandbox


@pytest.fixture(scope="session", autouse=True)
def _one_sandbox() -> Iterator[None]:
    """What an engine opens stays open for the next that asks for the same: a real one, of as many workers."""
    open_sandbox = launches.open_sandbox
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        @cache
        def opened(_: str | None, *asked: object) -> Sandbox:
            return stack.enter_context(open_sandbox(*asked))  # type: ignore[arg-type]  # as it was asked for

        def lend(*asked: object) -> AbstractContextManager[Sandbox]:
            return nullcontext(opened(os.environ.get("DOCKER_HOST"), *asked))

        patch.setattr(launches, "open_sandbox", lend)
        yield
