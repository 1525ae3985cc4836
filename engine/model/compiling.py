"""The layers of a model compiled by torch, for the passes that train.

Sampling and scoring go on as they are: their caches change shape with every token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException

from engine.errors import EnvironmentFault


class Compiled:
    """A model's layers, each compiled when it is first used, for rows of any length."""

    def __init__(self, model: Any) -> None:
        self._forwards = [(layer, torch.compile(layer.forward, dynamic=True)) for layer in model.get_decoder().layers]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside, passes of the model go through the compiled layers.

        Raises:
            EnvironmentFault: torch cannot compile on this machine, or not this model.
        """
        for layer, forward in self._forwards:
            layer.__dict__["forward"] = forward
        try:
            yield
        except TorchDynamoException as error:
            why = str(error).strip().splitlines()[0]
            raise EnvironmentFault(
                f"compute.compile: torch cannot compile the model here ({why}); "
                "a C++ compiler may be missing: install one, or set it to false"
            ) from error
        finally:
            for layer, _ in self._forwards:
                del layer.__dict__["forward"]
