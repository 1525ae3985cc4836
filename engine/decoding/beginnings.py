"""Which of many token sequences shares the longest beginning with another one."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from operator import itemgetter

_IDS = itemgetter(0)


class Beginnings:
    """Numbered sequences in lexicographic order, where the longest common beginning is that with a neighbour.

    So a look-up among n costs log n comparisons, each of which is the interpreter's own of two lists.
    """

    def __init__(self, held: Iterable[tuple[list[int], int]] = ()) -> None:
        self._held = sorted(held)

    def add(self, ids: list[int], number: int) -> None:
        """Take in one more."""
        insort(self._held, (ids, number))

    def remove(self, ids: list[int], number: int) -> None:
        """Forget one that was taken in."""
        del self._held[bisect_left(self._held, (ids, number))]

    def longest(self, ids: list[int], *, but_itself: bool = False) -> tuple[int, int]:
        """Length of the longest beginning that `ids` has in common with any, and that one's number; (0, -1) for none.

        With `but_itself` those that equal `ids` do not count.
        """
        first = bisect_left(self._held, ids, key=_IDS)
        after = bisect_right(self._held, ids, key=_IDS) if but_itself else first
        neighbours = [*self._held[max(0, first - 1) : first], *self._held[after : after + 1]]
        return max(((common(other, ids), number) for other, number in neighbours), default=(0, -1))


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    for n, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return n
    return min(len(left), len(right))
