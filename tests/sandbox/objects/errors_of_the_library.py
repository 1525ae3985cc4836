import dataclasses
import json
import queue
import re
from decimal import Decimal


@dataclasses.dataclass(frozen=True)
class Fixed:
    x: int


def load(text):
    return json.loads(text)


def amount(text):
    return Decimal(text)


def take():
    return queue.Queue().get_nowait()


def find(pattern):
    return re.compile(pattern)


# --- test
import dataclasses, decimal, json, queue, re
for call, argument, error in (
    (load, '{', json.JSONDecodeError), (amount, 'x', decimal.InvalidOperation), (find, '(', re.error)):
    try:
        call(argument)
        assert False
    except error as raised:
        assert str(raised)
try:
    take()
    assert False
except queue.Empty:
    pass
try:
    Fixed(1).x = 2
    assert False
except dataclasses.FrozenInstanceError:
    pass
try:
    load('{')
except json.JSONDecodeError as error:
    assert error.pos == 1 and isinstance(error, ValueError)
