"""Choosing which metrics are charted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import SelectionList, Static

from ra3tui.widgets.printable import printable


class PickerScreen(ModalScreen[tuple[str, ...] | None]):
    """Answers the chosen keys in their order; None when nothing is to change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Chart these", priority=True),
        Binding("escape", "dismiss(None)", "As before"),
    ]

    def __init__(self, keys: Iterable[str], charted: tuple[str, ...]) -> None:
        super().__init__()
        self._keys = [*charted, *(key for key in keys if key not in charted)]
        self._charted = charted

    def compose(self) -> ComposeResult:
        """A list to mark in."""
        with Vertical(classes="dialog"):
            yield Static("Metrics to chart · space marks, enter takes, escape leaves all as it was")
            yield SelectionList[str](*((printable(key), key, key in self._charted) for key in self._keys), compact=True)

    def action_choose(self) -> None:
        """Answer what is marked."""
        marked = set(self.query_one(SelectionList).selected)
        self.dismiss(tuple(key for key in self._keys if key in marked))
