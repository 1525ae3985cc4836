from dataclasses import InitVar, dataclass, field
from typing import ClassVar


@dataclass
class Item:
    kinds: ClassVar[int] = 3
    price: int
    label: str = field(default='', compare=False)
    extra: InitVar[int] = 0

    def __post_init__(self, extra):
        self.price += extra


# --- test
import dataclasses
assert Item(1, 'a') == Item(1, 'b') and Item(1) != Item(2) and Item(1, 'a', 1) == Item(2)
assert dataclasses.asdict(Item(1, 'a')) == {'price': 1, 'label': 'a'}
