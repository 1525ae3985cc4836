"""Samples as rows of the store: written as an update's, and read back as the samples they were."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.decoding.sampler import Completion, StopReason
from engine.errors import UsageFault
from engine.methods.sampling import Sample
from engine.model.policy import Policy
from engine.store.writer import Writer
from engine.suites.problem import Problem
from engine.text import storable
from sandbox import Result, Verdict

Row = Mapping[str, Any]
"""Of the table ``samples``."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """The samples of one problem."""

    rows: Sequence[Row]
    samples: list[Sample]


def stored_groups(rows: Sequence[Row], problems: Mapping[str, Problem]) -> Iterator[StoredGroup]:
    """The groups that ``rows``, of one update, were drawn in; ``problems`` by their tasks."""
    begins = [place for place, row in enumerate(rows) if row["sample"] == 0]
    for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True):
        own = list(rows[begin:end])
        yield StoredGroup(own, [_sample(row, problems[row["task"]]) for row in own])


def _sample(row: Row, problem: Problem) -> Sample:
    ids = json.loads(row["token_ids"])
    behaviour = np.array(json.loads(row["token_logprobs"]), dtype=np.float32).tolist()  # which they were
    unknown = [math.nan] * len(ids)  # only their sum is kept
    completion = Completion(ids, row["text"], unknown, behaviour, StopReason(row["stop"]), len(ids))
    result = Result(Verdict(row["verdict"]), tests=row["tests"] or 0, tests_passed=row["tests_passed"] or 0)
    return Sample(problem, row["sample"], completion, result)


def check_tokens(policy: Policy, group: StoredGroup, run: str) -> None:
    """Refuse tokens that say something else to ``policy``.

    Raises:
        UsageFault: its tokenizer is not that of the ``run`` which drew them.
    """
    (completion, *_) = [sample.completion for sample in group.samples]
    known = max(completion.ids) < policy.vocab_size
    if not known or not storable(policy.decode(completion.ids)).startswith(completion.text):
        raise UsageFault(
            f"rlvr.rollouts = {run!r}: its tokens are those of another tokenizer; begin from a model that has the same"
        )


def record(
    writer: Writer, position: int, step: int, group: StoredGroup, rewards: Sequence[float], advantages: Sequence[float]
) -> None:
    """Write a group, whichever run drew it, as one of the update ``step``, with what its samples earn there."""
    for row, sample, reward, advantage in zip(group.rows, group.samples, rewards, advantages, strict=True):
        own = {name: value for name, value in row.items() if name not in ("id", "run")}
        own |= {"step": step, "position": position, "advantage": advantage}
        writer.add("samples", own | {"reward": None if sample.masked else reward})
