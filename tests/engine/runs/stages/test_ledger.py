"""The ledger: seconds by kind of work, on a clock that stands still in a pause; what is measured costs nothing else."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from engine.model.logprobs import logprobs
from engine.model.tries import TrieBuilder, collate
from engine.processes.ranks import Ranks
from engine.runs.stages import clock as clock_module
from engine.runs.stages.clock import Clock
from engine.runs.stages.ledger import Ledger
from engine.store.null_writer import NullWriter
from tests.engine.tiny import tiny_policy


class Time:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    monkeypatch.setattr(clock_module, "time", moved)
    return moved


def begun(clock: Clock) -> Ledger:
    ledger = Ledger(tiny_policy().clone(), NullWriter("run"), Ranks(), clock)
    ledger.begin(None)
    return ledger


def test_the_clock_stands_still_in_a_pause(time: Time) -> None:
    clock = Clock()
    begin = clock.now()
    time.seconds += 30
    clock.leave_out(20)
    assert clock.now() - begin == 10


def test_seconds_count_as_the_outermost_work(time: Time) -> None:
    ledger = begun(Clock())
    with ledger.clock("measure"):
        time.seconds += 2
        with ledger.clock("sample"):
            time.seconds += 3
    with ledger.clock("sample"):
        time.seconds += 4
    assert ledger.costs.seconds == {"measure": 5, "sample": 4}
    assert ledger.settled().wall == 9
    assert ledger.spent() == 4


def test_a_stage_goes_on_with_the_costs_of_its_checkpoint(time: Time) -> None:
    ledger = begun(Clock())
    time.seconds += 7
    ledger.costs.tokens_trained = 11
    ledger.settled()
    ledger.keep()
    ledger.costs.tokens_trained = 99  # of an update that was cut short
    time.seconds += 1000
    resumed = begun(Clock())
    resumed.begin(asdict(ledger.kept))
    time.seconds += 2
    assert (resumed.settled().wall, resumed.costs.tokens_trained) == (9, 11)


def test_measuring_costs_seconds_and_nothing_else(time: Time) -> None:
    policy = tiny_policy().clone()
    ledger = Ledger(policy, NullWriter("run"), Ranks(), Clock())
    ledger.begin(None)
    trie = TrieBuilder()
    trie.ask(trie.chain(policy.encode("\n    pass"), trie.add(policy.encode("def f(x):"))[-1])[0], "x")
    batch = collate([[trie.build()]])
    with ledger.measuring():
        time.seconds += 5
        ledger.costs.tokens_generated += 40
        with torch.no_grad():
            logprobs(policy, batch)
    costs = ledger.settled()
    assert (costs.flops, costs.tokens_generated) == (0, 0)
    assert costs.seconds["measure"] == 5
    with torch.no_grad():
        logprobs(policy, batch)
    assert ledger.settled().flops > 0


def test_seconds_behind_the_last_update_are_not_kept_with_it(time: Time) -> None:
    ledger = Ledger(tiny_policy().clone(), NullWriter("run"), Ranks(), Clock())
    ledger.begin(None)
    with ledger.clock("train"):
        time.seconds += 3
    ledger.keep()
    with ledger.clock("train"):
        time.seconds += 4
    assert (ledger.kept.seconds["train"], ledger.costs.seconds["train"]) == (3, 7)
