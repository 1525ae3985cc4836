"""A screen that shows the store as it grows: reads run in a thread, one at a time, and are painted as they come."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from textual import work
from textual.reactive import reactive
from textual.screen import Screen

from ra3tui.screens.async_reader import AsyncReader, Unreadable

if TYPE_CHECKING:
    from engine.store.reader import Reader

POLL_SECONDS = 0.4

News = TypeVar("News")


class PollingScreen(Screen[None], Generic[News]):
    """Subclasses say what to ``read`` (in a thread) and how to ``show`` it (in the event loop).

    The next read starts after the last was painted, so that a slow disk or terminal makes the screen late, never busy.
    A screen below another one rests.
    """

    trouble: reactive[str] = reactive("", init=False)
    """Why the store cannot be read; empty when it can."""

    def __init__(self, store: AsyncReader) -> None:
        super().__init__()
        self.store = store
        self._wake = asyncio.Event()

    def read(self, reader: Reader) -> News:
        """One short look at the store."""
        raise NotImplementedError

    def show(self, news: News) -> bool:
        """Paint what was read; true to read on at once."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin to read."""
        self._follow()

    def on_screen_resume(self) -> None:
        """On top again: read at once."""
        self._wake.set()

    def look_again(self) -> None:
        """Read at once."""
        self._wake.set()

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        while True:
            more = self.is_active and await self._look()
            if not more:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            self._wake.clear()

    async def _look(self) -> bool:
        try:
            news = await self.store.read(self.read)
        except Unreadable as trouble:
            self.trouble = str(trouble)
            return False
        if not self.display:  # it was left meanwhile, and its widgets are going
            return False
        self.trouble = ""
        return self.show(news)
