"""Workers behind one door: jobs in, results out in order."""

from __future__ import annotations

import os
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Literal, Self

from . import docker_engine, namespaces, process
from .cell import CellLost, Pair
from .job import Job, Result, SandboxUnavailable, Verdict
from .worker import Worker

Backend = Literal["auto", "namespaces", "docker", "process"]
_ISOLATING: tuple[Backend, ...] = ("namespaces", "docker")
_OPENERS: dict[Backend, Callable[[], Callable[[], Pair]]] = {
    "namespaces": lambda: namespaces.open_pair,
    "docker": docker_engine.opener,
    "process": lambda: process.open_pair,
}
AHEAD = 4
"""Jobs taken from the caller's iterable ahead of the result it waits for, per worker."""


class Sandbox:
    """A pool of workers. Use as a context manager."""

    def __init__(self, backend: str, open_pair: Callable[[], Pair], workers: int) -> None:
        self.backend = backend
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._workers = [Worker(backend, open_pair) for _ in range(workers)]
        self._workers[0].start()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")

    def judge(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Results in the order of the jobs, as they come; jobs are taken from the iterable only a little ahead."""
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                waiting.append(self._threads.submit(self._judge_one, job))
                if len(waiting) >= AHEAD * len(self._workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _judge_one(self, job: Job) -> Result:
        """On any worker; where that one failed, once more on the next."""
        result = self._on_a_worker(job)
        if result.verdict is Verdict.SANDBOX_ERROR:
            result = self._on_a_worker(job)
        return result

    def _on_a_worker(self, job: Job) -> Result:
        worker = self._idle.get()
        try:
            return worker.judge(job)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Let the jobs in hand end, then end every worker."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sandbox(backend: Backend = "auto", workers: int | None = None) -> Sandbox:
    """A sandbox on the named backend; ``auto`` takes the first that works here and isolates.

    Raises SandboxUnavailable, whose message says why and how to mend it. ``workers`` is one a core by default.
    """
    failures = []
    for name in _ISOLATING if backend == "auto" else (backend,):
        try:
            return Sandbox(name, _OPENERS[name](), workers or os.cpu_count() or 1)
        except (CellLost, OSError) as error:
            failures.append(f"{name}: {error}")
    mend = "`ra3 sandbox check` tries every backend; `--backend process` runs without isolation"
    raise SandboxUnavailable(f"{'; '.join(failures)} ({mend})")
