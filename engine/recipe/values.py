"""What the tables of a recipe are made of: a table that is strict, and values with rules of their own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, field_validator

from engine.recipe.keys import NUMBERS


def _not_fp16(value: Any) -> Any:
    if value == "fp16":
        raise ValueError("gradients vanish or overflow in fp16; set compute.mixed_precision to 'bf16', or to 'auto'")
    return value


Precision = Annotated[Literal["auto", "no", "bf16"], BeforeValidator(_not_fp16)]


class Section(BaseModel):
    """A table of a recipe: unknown keys are errors, numbers are finite, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, **NUMBERS)

    @field_validator("*")
    @classmethod
    def _fits_the_store(cls, value: object) -> object:
        """SQLite and torch hold 64 bits; what is larger would be met in the midst of a run."""
        if isinstance(value, int) and value >= 2**63:
            raise ValueError(f"{value} is larger than any number here can be; write one below 2**63")
        return value


def _known_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", name):
        raise ValueError("write auto, cpu, cuda, cuda:N or mps")
    return name


Device = Annotated[str, AfterValidator(_known_device)]
"""Where torch computes."""
