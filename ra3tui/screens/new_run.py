"""Choosing a recipe, changing it, and starting it as a process of its own."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Footer, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from engine.errors import EnvironmentFault, UsageFault
from ra3tui.screens.async_reader import AsyncReader
from ra3tui.widgets.notice import Notice
from ra3tui.widgets.printable import printable

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe

FIELDS = {
    "file": "a recipe's TOML file, instead of one of the list",
    "overrides": "key=value …  such as ra3.penalty=0.1 eval.n=5",
    "name": "what listings call it, instead of the recipe's name",
}


class NewRunScreen(Screen[None]):
    """Recipes, the chosen one in full, and overrides that are checked while they are typed."""

    HELP = """
# New run
Choose a shipped recipe, or name a TOML file. The whole recipe is shown as it would run, every default filled in.

Overrides are `key=value`, separated by spaces, with the keys of the recipe: `ra3.penalty=0.1 eval.n=5`.

`ctrl+s` (or enter in a field) starts all its arms, one after the other, in a process of their own: the app may be
closed meanwhile.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("ctrl+s", "start", "Start", priority=True),
    ]
    recipe: reactive[Recipe | None] = reactive(None, init=False)
    """The recipe as it would run; None while what is typed is not sound."""
    fault: reactive[str] = reactive("", init=False)
    """Why what is typed cannot be run."""

    def __init__(self, store: AsyncReader) -> None:
        super().__init__()
        self._store = store

    def compose(self) -> ComposeResult:
        """Recipes beside the preview, fields below."""
        yield Static("New run", classes="head")
        with Horizontal(id="choice"):
            yield OptionList(id="recipes")
            with VerticalScroll(id="preview", can_focus=True):
                yield Static(id="toml")
        with Vertical(id="fields"):
            for field, hint in FIELDS.items():
                with Horizontal():
                    yield Label(field)
                    yield Input(placeholder=hint, id=field, compact=True)
            yield Notice()
        yield Footer()

    async def on_mount(self) -> None:
        """List the shipped recipes."""
        self.query_one(OptionList).focus()
        self._list_recipes()

    @work
    async def _list_recipes(self) -> None:
        recipes = await asyncio.to_thread(_shipped)
        if not self.display:  # left meanwhile
            return
        options = self.query_one(OptionList)
        for name, description in recipes.items():
            text = Content.assemble((name, "bold"), "\n", (description, "$foreground 60%"))
            options.add_option(Option(text, id=name))
        options.highlighted = 0

    def on_option_list_option_highlighted(self) -> None:
        """Another recipe."""
        self._resolve()

    def on_option_list_option_selected(self) -> None:
        """Go on to what can be changed."""
        self.query_one("#overrides").focus()

    def on_input_changed(self) -> None:
        """Another file or override."""
        self._resolve()

    def on_input_submitted(self) -> None:
        """Enter in a field starts it."""
        self.action_start()

    @work(exclusive=True, group="resolve")
    async def _resolve(self) -> None:
        """Read the recipe with its overrides, in a thread: the first one loads pydantic."""
        options = self.query_one(OptionList)
        chosen = options.highlighted_option.id if options.highlighted_option else None
        source = self.query_one("#file", Input).value.strip() or chosen
        if source:
            loaded = await asyncio.to_thread(_load, source, self.query_one("#overrides", Input).value)
            if self.display:
                self.recipe, self.fault = loaded

    def watch_recipe(self, recipe: Recipe | None) -> None:
        """Show it in full; a recipe that is not sound leaves the last one that was, dim."""
        preview = self.query_one("#toml", Static)
        preview.set_class(recipe is None, "-stale")
        if recipe is not None:
            preview.update(highlight(printable(recipe.to_toml()), language="toml"))

    def watch_fault(self, fault: str) -> None:
        """Say why it cannot be run."""
        notice = self.query_one(Notice)
        notice.trouble = bool(fault)
        notice.message = fault

    @work(exclusive=True, group="start")
    async def action_start(self) -> None:
        """Plan its runs, start the engine, and open the first of them."""
        if self.recipe is None:
            self.notify(self.fault or "choose a recipe first", severity="warning")
            return
        name = self.query_one("#name", Input).value.strip() or None
        try:
            first = await asyncio.to_thread(_start, self.recipe, self._store, name)
        except (EnvironmentFault, UsageFault, OSError) as fault:
            self.fault = str(fault)
        else:
            await self.run_action(f"app.show_run({first!r})")


def _shipped() -> dict[str, str]:
    """Names and descriptions of the recipes that come with the package."""
    from engine.recipe.files import load_recipe, shipped  # noqa: PLC0415 - loads pydantic, not before it is wanted

    return {name: load_recipe(name).description for name in shipped()}


def _load(source: str, overrides: str) -> tuple[Recipe | None, str]:
    """The recipe with ``overrides``, or why there is none."""
    from engine.recipe.files import load_recipe  # noqa: PLC0415 - likewise
    from engine.recipe.keys import RecipeError  # noqa: PLC0415 - likewise

    try:
        return load_recipe(source, shlex.split(overrides)), ""
    except (RecipeError, ValueError, OSError) as fault:  # ValueError: a quotation mark is open
        return None, str(fault)


def _start(recipe: Recipe, store: AsyncReader, name: str | None) -> str:
    """Plan and start ``recipe``, once all that it needs is there; the id of its first run."""
    from engine.runs.checks import check_launch  # noqa: PLC0415 - likewise
    from engine.runs.planning import plan, start_detached  # noqa: PLC0415 - likewise

    check_launch(recipe, home=store.home)
    planned = plan(recipe, store.home, name=name)
    ids = [run.id for run in planned.runs]
    start_detached(store.home, ids, store.home / ids[0] / "log")
    return ids[0]
