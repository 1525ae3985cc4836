"""Completions on their way to the sandbox, which judges them while others are still being drawn."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

from engine.decoding.sampler import Completion
from engine.suites.problem import Problem
from sandbox import Result, Sandbox


class Judging:
    """Hands each completion to the sandbox as it comes; those of a problem that say the same are judged once.

    With ``count`` their tests are run beyond the first that fails, and counted. Closing it takes back what waits for
    the sandbox.
    """

    def __init__(self, sandbox: Sandbox, *, count: bool = False) -> None:
        self._sandbox, self._count = sandbox, count
        # The sandbox takes few jobs ahead: a thread of its own waits for it, so that who draws does not.
        self._feeder = ThreadPoolExecutor(1, thread_name_prefix="judging")
        self._handed: dict[tuple[str, str], Future[Future[Result]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feeder.shutdown(wait=False, cancel_futures=True)
        for handed in self._handed.values():
            if handed.done() and not handed.cancelled() and handed.exception() is None:
                handed.result().cancel()

    def hand_in(self, problem: Problem, completion: Completion) -> None:
        """Have it judged, unless an equal one is."""
        key = problem.task_id, completion.text
        if key not in self._handed:
            job = replace(problem.job(completion.text), count=self._count)
            self._handed[key] = self._feeder.submit(self._sandbox.submit, job)

    def results(self, problems: Sequence[Problem], completions: Sequence[Sequence[Completion]]) -> list[list[Result]]:
        """Of the ``completions`` of each problem, once they are judged; those that were not handed in are."""
        pairs = list(zip(problems, completions, strict=True))
        for problem, group in pairs:
            for completion in group:
                self.hand_in(problem, completion)
        return [
            [self._handed[problem.task_id, each.text].result().result() for each in group] for problem, group in pairs
        ]
