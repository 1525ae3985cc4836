"""Whether ``sys.exit(0)`` was a program's end, or left before all that it was to say had been asked of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_LEAVES = {"sys.exit", "exit", "quit", "SystemExit", "asyncio.run"}
"""Calls that ask nothing of what they are given."""
_SAYS = _LEAVES | {"print", "sys.stdout.write", "sys.stdout.flush", "sys.stderr.write"}
"""Calls that may stand after the place without having been waited for: they only tell."""


def was_the_end(program: str, lines: list[int]) -> bool:
    """Whether a program that left with status 0 from these lines, the outermost first, had nothing more to answer.

    Each must stand in a bare call, and nothing that comes after it in its function or module may assert or call
    anything. In a loop all of the loop comes after it.
    """
    try:
        tree = ast.parse(program.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(lines) and all(_ends_at(tree, line, line == lines[-1]) for line in lines)


def _ends_at(tree: ast.Module, line: int, innermost: bool) -> bool:
    path = list(_way_to(tree, line))
    left = (each for _, after in path for each in after)
    return bool(path) and _asks_nothing(path[-1][0], innermost) and not any(map(_asks, left))


def _way_to(tree: ast.Module, line: int) -> Iterator[tuple[ast.stmt, list[ast.stmt]]]:
    """Statement within statement down to the one at a line, each with those that come after it in its function."""
    block: list[ast.stmt] = tree.body
    while holder := next((each for each in block if _spans(each, line)), None):
        inner = next((body for body in _bodies(holder) if any(_spans(each, line) for each in body)), [])
        after = block[block.index(holder) + 1 :]
        if inner and isinstance(holder, ast.FunctionDef | ast.AsyncFunctionDef):
            after = []  # it comes back to who called it
        elif isinstance(holder, ast.For | ast.While | ast.AsyncFor):
            after += holder.body
        yield holder, after
        block = inner


def _spans(statement: ast.stmt, line: int) -> bool:
    return statement.lineno <= line <= (statement.end_lineno or statement.lineno)


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for each in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield each.body


def _asks_nothing(statement: ast.stmt, innermost: bool) -> bool:
    """Whether the call at which it stood is all of the statement, its answer asked for by nobody."""
    value = statement.exc if isinstance(statement, ast.Raise) else getattr(statement, "value", None)
    if not isinstance(statement, ast.Expr | ast.Return | ast.Raise) or value is None:
        return False
    if not isinstance(value, ast.Call):
        return innermost and isinstance(statement, ast.Raise)
    waiting = [each for each in ast.walk(value) if isinstance(each, ast.Call | ast.Compare)]
    return ast.unparse(value.func) in _LEAVES or waiting == [value]


def _asks(statement: ast.stmt) -> bool:
    """Whether a statement that was never reached would have called or asserted something."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    calls = (ast.unparse(each.func) for each in ast.walk(statement) if isinstance(each, ast.Call))
    return any(isinstance(each, ast.Assert) for each in ast.walk(statement)) or any(call not in _SAYS for call in calls)
