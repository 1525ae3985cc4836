"""What the present stage has used: seconds by kind of work, tokens, operations, memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from engine.model.policy import Policy
from engine.processes.ranks import Ranks
from engine.runs.stages.clock import Clock
from engine.runs.stages.costs import Costs, Meter, forget_peak, peak_mb
from engine.store.writer import Writer


class Ledger:
    """Keeps the costs of one stage at a time."""

    def __init__(self, policy: Policy, writer: Writer, ranks: Ranks, clock: Clock) -> None:
        self.costs = Costs()
        """As far as they are counted: `settled` brings them up to date."""
        self.kept = Costs()
        """Of the work up to the last update, with which a checkpoint inside the stage goes on."""
        self._meter = Meter(policy)
        self._device = policy.device
        self._writer = writer
        self._ranks = ranks
        self._clock = clock
        self._began = 0.0
        self._logged_before = 0.0
        self._counting = False
        self._thread = threading.get_ident()

    def begin(self, costs: dict[str, Any] | None) -> None:
        """A stage begins, or goes on with the ``costs`` it had at its checkpoint."""
        self.costs = Costs(**costs or {})
        self.kept = replace(self.costs, seconds=dict(self.costs.seconds))
        self._began = self._clock.now() - self.costs.wall
        self._logged_before = self.costs.seconds.get("log", 0.0) - self._writer.seconds
        self._meter.take()
        forget_peak(self._device)

    def keep(self) -> None:
        """An update has ended: what was used for it is not used again after a resume."""
        self.kept = replace(self.costs, seconds=dict(self.costs.seconds))

    def go_back(self) -> None:
        """What was used since `keep` will be used again: forget it."""
        self.begin(asdict(self.kept))

    def settled(self) -> Costs:
        """*Collective.* The stage's costs as they are now."""
        costs = self.costs
        costs.wall = self._clock.now() - self._began
        costs.seconds["log"] = self._logged_before + self._writer.seconds
        costs.flops += sum(self._ranks.gather([self._meter.take()]))
        costs.peak_mb = max(costs.peak_mb, peak_mb(self._device))
        return costs

    def spent(self) -> float:
        """Seconds the stage has taken so far, measuring left out."""
        return self._clock.now() - self._began - self.costs.seconds.get("measure", 0.0)

    @contextmanager
    def clock(self, work: str) -> Iterator[None]:
        """Count the seconds spent inside as ``work``, unless they count as something already.

        Those of a thread beside the one that trains are not counted: what counts is how long that one waits for it.
        """
        if self._counting or threading.get_ident() != self._thread:
            yield
            return
        begin, self._counting = self._clock.now(), True
        try:
            yield
        finally:
            self._counting = False
            self.costs.seconds[work] = self.costs.seconds.get(work, 0.0) + self._clock.now() - begin

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """*Collective.* What is done inside costs the stage seconds of measuring, and nothing else."""
        generated = self.settled().tokens_generated
        with self.clock("measure"):
            yield
        self._meter.take()
        self.costs.tokens_generated = generated
