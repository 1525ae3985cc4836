"""What crosses between the CPU and a device: whole, in order, in one piece."""

from __future__ import annotations

import numpy as np
import torch

from engine.model.transfers import fetched, sent, sent_together
from tests.engine.waits import Waits

CPU = torch.device("cpu")


def test_columns_that_are_sent_together_come_apart_as_they_were() -> None:
    columns = sent_together([[3, 1], [], np.array([[5, 6], [7, 8]], dtype=np.int32), range(2)], CPU)
    assert [column.tolist() for column in columns] == [[3, 1], [], [5, 6, 7, 8], [0, 1]]
    assert {column.dtype for column in columns} == {torch.int64}


def test_nothing_but_empty_columns_may_be_sent() -> None:
    assert [len(column) for column in sent_together([[], []], CPU)] == [0, 0]


def test_values_are_fetched_exactly_and_in_one_piece() -> None:
    logprobs, tokens = torch.tensor([-0.1, -1e-7, -40.0]), torch.tensor([2**31 + 1, 0])
    with Waits() as waits:
        columns = fetched([logprobs, tokens, torch.zeros(0)])
    assert [column.tolist() for column in columns] == [logprobs.tolist(), tokens.tolist(), []]
    assert waits.crossings() == 1


def test_what_is_sent_goes_to_the_device_it_is_meant_for() -> None:
    assert sent(torch.ones(2), torch.device("meta")).device.type == "meta"
    assert [column.device.type for column in sent_together([[1], [2]], torch.device("meta"))] == ["meta", "meta"]
