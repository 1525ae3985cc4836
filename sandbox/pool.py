"""Workers behind one door: jobs in, results out, no more of them in hand than there is work for."""

from __future__ import annotations

import importlib
import os
import queue
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Literal, Self

from .backends.cell import CellLost, Pair
from .backends.packages import Asked
from .job import Job, Result, SandboxUnavailable, Verdict
from .turnstile import Turnstile
from .worker import Worker

Backend = Literal["auto", "namespaces", "docker", "process"]
_ISOLATING: tuple[Backend, ...] = ("namespaces", "docker")
BACKENDS: tuple[Backend, ...] = ("namespaces", "docker", "process")
AHEAD = 16
"""Jobs in hand per worker: enough that the others go on while the results wait for one that takes long, few enough that
thousands cost no memory."""


def opener(backend: Backend, packages: Asked) -> Callable[[int], Pair]:
    """What opens a backend's pairs of cells, given the number of the core that they are to share."""
    module = {"namespaces": "namespaces", "docker": "docker_engine", "process": "process"}[backend]
    opened: Callable[[int], Pair] = importlib.import_module(f".backends.{module}", __package__).opener(packages)
    return opened


STACK = 8 << 20
"""Bytes of a worker's own stack, whatever ``ulimit -s`` says: the values of a test may be nested deeply."""


class _Ticket:
    """A job in hand: its future, and the worker on it while there is one."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cancelled = threading.Event()
        self.worker: Worker | None = None
        self.future: Future[Result] = Future()

    def cancel(self) -> None:
        """Never start it, or stop it where it is."""
        self.cancelled.set()
        if not self.future.cancel() and (worker := self.worker) is not None and not self.future.done():
            worker.abort()


class Sandbox:
    """A pool of workers. Use as a context manager; all of it may be used from several threads."""

    def __init__(self, backend: str, open_pair: Callable[[int], Pair], workers: int) -> None:
        self.backend = backend
        self._workers = [Worker(backend, open_pair, core=os.getpid() + place) for place in range(workers)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._room = threading.BoundedSemaphore(AHEAD * workers)
        self._turnstile = Turnstile()
        self._in_hand: set[_Ticket] = set()
        self._door = threading.Lock()
        self._closing = threading.Event()
        try:
            self._workers[0].start()
            self._start_threads()
        except BaseException:
            self.close()
            raise

    def _start_threads(self) -> None:
        """One a worker, all at once: a machine that has no room for them says so before there is a job."""
        usual = threading.stack_size(STACK)
        try:
            self._start_each()
        finally:
            threading.stack_size(usual)

    def _start_each(self) -> None:
        for number in range(len(self._workers)):
            thread = threading.Thread(target=self._work, name=f"sandbox-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(f"{error}: raise the limit of processes (`ulimit -u`), or take fewer workers") from error
            self._threads.append(thread)

    def _work(self) -> None:
        while (ticket := self._tickets.get()) is not None:
            self._see_to(ticket)

    def submit(self, job: Job) -> Future[Result]:
        """Hand in one job; waits while there are too many in hand. A future cancelled in time is never judged."""
        return self._take(job).future

    def judge(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Results in the order of the jobs, as they come; jobs are taken from the iterable only a little ahead.

        Closing the iterator early cancels what is in hand of it.
        """
        waiting: deque[_Ticket] = deque()
        try:
            for job in jobs:
                waiting.append(self._take(job))
                if len(waiting) >= AHEAD * len(self._workers):
                    yield waiting.popleft().future.result()
            while waiting:
                yield waiting.popleft().future.result()
        finally:
            for ticket in waiting:
                ticket.cancel()

    def judge_as_they_come(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Result]]:
        """Pairs of a job's number and its result, whichever is ready first."""
        waiting: dict[int, _Ticket] = {}
        ready: queue.SimpleQueue[int] = queue.SimpleQueue()
        try:
            for number, job in enumerate(jobs):
                waiting[number] = ticket = self._take(job)
                ticket.future.add_done_callback(lambda _, number=number: ready.put(number))  # type: ignore[misc]
                while len(waiting) >= AHEAD * len(self._workers) or (waiting and not ready.empty()):
                    done = ready.get()
                    yield done, waiting.pop(done).future.result()
            while waiting:
                done = ready.get()
                yield done, waiting.pop(done).future.result()
        finally:
            for ticket in waiting.values():
                ticket.cancel()

    async def stream(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncIterator[Result]:
        """As `judge`, for a caller in an event loop, which stays free meanwhile."""
        import asyncio  # noqa: PLC0415  # who has no event loop does not wait for it to be imported

        waiting: deque[_Ticket] = deque()
        try:
            async for job in _each(jobs):
                waiting.append(await asyncio.to_thread(self._take, job))
                if len(waiting) >= AHEAD * len(self._workers):
                    yield await asyncio.wrap_future(waiting.popleft().future)
            while waiting:
                yield await asyncio.wrap_future(waiting.popleft().future)
        finally:
            for ticket in waiting:
                ticket.cancel()

    def _take(self, job: Job) -> _Ticket:
        self._room.acquire()
        ticket = _Ticket(job)
        with self._door:
            if self._closing.is_set():
                self._room.release()
                raise SandboxUnavailable("the sandbox is closed")
            self._in_hand.add(ticket)
            ticket.future.add_done_callback(lambda _: self._give_back(ticket))
            self._tickets.put(ticket)
        return ticket

    def _give_back(self, ticket: _Ticket) -> None:
        self._in_hand.discard(ticket)
        self._room.release()
        if ticket.future.cancelled():
            ticket.cancel()

    def _see_to(self, ticket: _Ticket) -> None:
        if not ticket.future.set_running_or_notify_cancel():
            return
        try:
            result = self._judge_one(ticket)
        except BaseException as error:
            ticket.future.set_exception(error)
        else:
            ticket.future.set_result(result)

    def _judge_one(self, ticket: _Ticket) -> Result:
        """Beside others first; alone, where they may have decided it; once more, where the sandbox itself failed."""
        with self._turnstile.together():
            result, suspect = self._on_a_worker(ticket)
        if result.verdict is Verdict.SANDBOX_ERROR and not self._given_up(ticket):
            with self._turnstile.together():
                result, suspect = self._on_a_worker(ticket, revive=True)
        if suspect and not self._given_up(ticket):
            with self._turnstile.alone():
                result, _ = self._on_a_worker(ticket)
        return result

    def _given_up(self, ticket: _Ticket) -> bool:
        return ticket.cancelled.is_set() or self._closing.is_set()

    def _on_a_worker(self, ticket: _Ticket, revive: bool = False) -> tuple[Result, bool]:
        worker = self._idle.get()
        ticket.worker = worker
        try:
            if revive:
                worker.revive(self._closing)
            return worker.judge(ticket.job, ticket.cancelled)
        finally:
            ticket.worker = None
            self._idle.put(worker)

    def close(self) -> None:
        """Cancel what is in hand and end every worker."""
        with self._door:
            self._closing.set()
        for ticket in list(self._in_hand):
            ticket.cancel()
        for _ in self._threads:
            self._tickets.put(None)
        for thread in self._threads:
            thread.join()
        for worker in self._workers:
            worker.abort()
        for worker in self._workers:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _each(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncIterator[Job]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job


def _occupy_standard_descriptors() -> None:
    """Where they are closed a pipe of ours would take their numbers, and be written to by whoever prints."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def open_sandbox(backend: Backend = "auto", workers: int | None = None, packages: Asked = "auto") -> Sandbox:
    """A sandbox on the named backend; ``auto`` takes the first that works here and isolates.

    ``workers`` is one a core by default. ``packages`` are those that programs and tests may import: ``auto`` has the
    usual ones of those installed, ``none`` none, and of names each must be there. Raises SandboxUnavailable, whose
    message says why and how to mend it.
    """
    _occupy_standard_descriptors()
    failures = []
    for name in _ISOLATING if backend == "auto" else (backend,):
        try:
            return Sandbox(name, opener(name, packages), workers or os.cpu_count() or 1)
        except (CellLost, OSError) as error:
            failures.append(f"{name}: {error}")
    mend = "`ra3 sandbox check` tries every backend and says what each needs"
    raise SandboxUnavailable(f"{'; '.join(failures)} ({mend})")
