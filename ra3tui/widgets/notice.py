"""One line that says what is wrong, or what to do next."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from ra3tui.widgets.printable import printable


class Notice(Static):
    """Shown while it has something to say."""

    DEFAULT_CSS = """
    Notice { height: auto; padding: 0 1; margin: 0 0; display: none; }
    Notice.-shown { display: block; }
    Notice.-trouble { background: $error-muted; color: $text-error; }
    """
    message: reactive[str] = reactive("")
    """What it says."""
    trouble: reactive[bool] = reactive(False)
    """Something is wrong, rather than just empty."""

    def watch_message(self, message: str) -> None:
        """Show itself while there is something to say."""
        self.update(Content(printable(f"✗ {message}" if self.trouble else message)))
        self.set_class(bool(message), "-shown")

    def watch_trouble(self, trouble: bool) -> None:
        """In the colours of an error, and with its mark."""
        self.set_class(trouble, "-trouble")
        self.watch_message(self.message)
