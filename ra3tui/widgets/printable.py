"""Text of others, made safe to print: what a model wrote, or a program it wrote, may hold terminal escapes."""

from __future__ import annotations

from typing import Any

_KEPT = "\t\n"
_PICTURES = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in _KEPT}
_C1 = dict.fromkeys(range(128, 160), "�")
# Bidirectional controls would show a program in another order than it runs in.
_BIDI = dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), "�")
_TABLE = {**_PICTURES, 0x7F: "\N{SYMBOL FOR DELETE}", **_C1, **_BIDI}


def printable(text: str) -> str:
    """``text`` with a picture (``␛``) for every control character but tab and newline."""
    return text.translate(_TABLE)


def printable_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the store with all its text made printable."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}
