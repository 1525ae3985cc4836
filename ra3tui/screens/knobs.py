"""Changing the live knobs of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from ra3tui.widgets.notice import Notice

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe


class KnobScreen(ModalScreen[dict[str, Any]]):
    """Answers the values that a person changed, by key; none where all is to stay."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "Change", priority=True),
        Binding("escape", "leave", "As before"),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(self, recipe: Recipe, title: str) -> None:
        super().__init__()
        from engine.runs.knobs import knobs  # noqa: PLC0415 - loads pydantic, not before it is wanted

        self._recipe = recipe
        self._title = title
        self._values = {key: f"{value:g}" for key, value in knobs(recipe).items()}

    def compose(self) -> ComposeResult:
        """A field a knob, with its present value."""
        with Vertical(classes="dialog knobs"):
            what = "enter changes them from the next step on, escape leaves all as it was"
            none = "no knob to change: none of its stages trains"
            yield Static(f"{self._title}: {what if self._values else none}", markup=False)
            with Vertical(classes="fields"):
                for key, value in self._values.items():
                    with Horizontal():
                        yield Label(key, markup=False)
                        yield Input(value, id=key.replace(".", "-"), compact=True)
            yield Notice()

    def on_input_changed(self) -> None:
        """Say what is wrong while it is typed."""
        _, fault = self._read()
        notice = self.query_one(Notice)
        notice.trouble = bool(fault)
        notice.message = fault

    def action_change(self) -> None:
        """Answer what was changed, if it can be."""
        changes, fault = self._read()
        if fault:
            self.notify(fault, severity="warning")
        else:
            self.dismiss(changes)

    def action_leave(self) -> None:
        """Answer that nothing is to change."""
        self.dismiss({})

    def _read(self) -> tuple[dict[str, Any], str]:
        """The changed values, and what is wrong with one of them."""
        from engine.recipe.keys import RecipeError  # noqa: PLC0415 - likewise
        from engine.runs.knobs import parse_knob  # noqa: PLC0415 - likewise

        changes: dict[str, Any] = {}
        for key, before in self._values.items():
            typed = self.query_one(f"#{key.replace('.', '-')}", Input).value.strip()
            if typed == before:
                continue
            try:
                changes |= dict([parse_knob(self._recipe, f"{key}={typed}")])
            except RecipeError as fault:
                return {}, str(fault)
        return changes, ""
