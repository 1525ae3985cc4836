"""A kata: a function of a few steps, as a prompt, as the expert's lines, and with the comment that helps each line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from engine.katas.keys import NOUNS, Key, draw_key
from engine.katas.operations import DOMAINS, Domain, Operation, Value

ENTRY_POINT = "solve"
MOST_TERMS = 5
_STEPS = {1: 30, 2: 50, 3: 20}
_TERMS = {1: 45, 2: 15, 3: 15, 4: 15, 5: 10}


class Step(NamedTuple):
    """An operation, and its key where it needs one."""

    operation: Operation
    key: Key | None

    def apply(self, value: Value) -> Value:
        """What comes out of it."""
        result: Value = self.operation.function(value, self.key.value if self.key else 0)
        return result


class KataLine(NamedTuple):
    """A line of the body, and the comment before it that would help to write it."""

    code: str
    comment: str | None
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Kata:
    """A function of one to three steps."""

    domain: Domain
    steps: tuple[Step, ...]

    @property
    def prompt(self) -> str:
        """The function's head and docstring, without a final newline."""
        phrases = [phrase.format(k=name) for phrase, name in zip(self._phrases, self._names, strict=True)]
        asked = ", then ".join(phrases)
        keys = [
            f"\n    {name}: {step.key.told}"
            for name, step in zip(self._names, self.steps, strict=True)
            if step.key is not None
        ]
        head = f"{self.domain.header}def {ENTRY_POINT}({self.domain.variable}):"
        return f'{head}\n    """{asked[0].upper()}{asked[1:]}.{"".join(keys)}\n    """'

    @property
    def lines(self) -> list[KataLine]:
        """The expert's body: each key, and what is done with it."""
        return list(self._lines())

    @property
    def code(self) -> str:
        """The expert's body, each line led by its newline."""
        return "".join(f"\n    {line.code}" for line in self.lines)

    @property
    def commented(self) -> str:
        """The expert's body with the comments that help."""
        return "".join(
            ("" if line.comment is None else f"\n    #{line.comment}") + f"\n    {line.code}" for line in self.lines
        )

    @property
    def depth(self) -> int:
        """Terms of its longest key; 0 where it needs none."""
        return max((len(step.key.terms) for step in self.steps if step.key), default=0)

    @property
    def novel(self) -> bool:
        """Does it need an operation that pre-training has not?"""
        return any(step.operation.novel for step in self.steps)

    @property
    def normal_form(self) -> str:
        """The function alone: its steps with the keys' values in them, however the docstring tells these."""
        expressions = [
            step.operation.expression.format(v="v", k=step.key.value if step.key else "") for step in self.steps
        ]
        return f"{self.domain.name}: " + "; ".join(expressions)

    def apply(self, value: Value) -> Value:
        """What the expert's function gives back."""
        for step in self.steps:
            value = step.apply(value)
        return value

    @property
    def _phrases(self) -> list[str]:
        return [step.operation.phrase for step in self.steps]

    @property
    def _names(self) -> list[str]:
        """A letter a key, in order; empty for a step without."""
        letters = iter("abc")
        return [next(letters) if step.key else "" for step in self.steps]

    def _lines(self) -> Iterator[KataLine]:
        variable = self.domain.variable
        for number, (step, name) in enumerate(zip(self.steps, self._names, strict=True), start=1):
            if step.key is not None:
                comment = None if step.key.worked_out is None else f" {name}:{step.key.worked_out}"
                yield KataLine(f"{name} = {step.key.value}", comment, is_key=True)
            result = "return " if number == len(self.steps) else f"{variable} = "
            yield KataLine(result + step.operation.expression.format(v=variable, k=name), None)


def draw_kata(random: Random, *, depth: int = MOST_TERMS, novel: bool = True) -> Kata:
    """A kata whose keys have at most ``depth`` terms, with novel operations or without."""
    domain = random.choice(DOMAINS)
    operations = [operation for operation in domain.operations if novel or not operation.novel]
    nouns = random.sample(NOUNS, len(NOUNS))
    steps = []
    for _ in range(_weighted(random, _STEPS)):
        operation = random.choice(operations)
        terms = min(depth, _weighted(random, _TERMS))
        steps.append(Step(operation, draw_key(random, terms, nouns) if operation.keyed else None))
    return Kata(domain, tuple(steps))


def _weighted(random: Random, weights: dict[int, int]) -> int:
    return random.choices(list(weights), list(weights.values()))[0]
