"""Which known trick a program seems to try: for a person to read. No verdict ever depends on it.

Told from the program's text and from what the judge saw, so it misses what is well hidden and may name an innocent.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from .job import Asserts, Calls, Check, Test, Verdict

# A program may be long, and written to be slow to read: each pattern takes time linear in it. What could begin anywhere
# in a line begins at the line's start, and `(?>…)` never looks for another place once it has found one. Before each
# stand words of which every match has one: to look for these first is what most programs cost.
_IN_THE_TEXT = {
    "odd_equality": ("def __", r"(?m)^(?>.*?def __(?:eq|sub|rsub)__\()(?>[^)\n]*\)).*:\s*return (?:True|self|0)"),
    "frame_walk": (
        *("_getframe", "f_back", "tb_frame", "currentframe", "inspect.stack", "settrace", "setprofile"),
        r"\b(?:_getframe|f_back|tb_frame|currentframe|inspect\.stack|settrace|setprofile)\b",
    ),
    "memory_search": ("gc.get_", "/mem", r"\bgc\.get_(?:objects|referrers|referents)\b|/proc/(?:self|\d+)/mem"),
    "protocol_forgery": (
        *("os.write(", "json.dumps", "inside.", "endswith("),
        r"os\.write\((?![12]\b)|json\.dumps\s*=[^=]|['\"]inside\.|endswith\(['\"]judge",
    ),
    "patched_builtins": ("builtins", r"\bbuiltins\.\w+\s*=[^=]|\b__builtins__\b"),
    "signals": ("os.kill", r"os\.kill(?:pg)?\((?!os\.getpid)"),
}
_PATTERNS = [(trick, words, re.compile(pattern)) for trick, (*words, pattern) in _IN_THE_TEXT.items()]
_ANSWERING_BRANCH = re.compile(r"(?m)^(?>.*?==).*:\s*return\b")
_ENOUGH = 2
"""Cases that a program must know by heart to be called hard-coded."""

Case = tuple[str, str]
"""An argument and what is expected of it, both as ``repr``."""


def seen(program: str, test: Test, verdict: Verdict, forged: bool, own_word: bool = False) -> tuple[str, ...]:
    """The tricks that a program seems to have tried, in alphabetical order."""
    tricks = {
        trick
        for trick, words, pattern in _PATTERNS
        if any(word in program for word in words) and pattern.search(program)
    }
    if verdict is Verdict.EARLY_EXIT:
        tricks.add("early_exit")
    if forged:
        tricks.add("protocol_forgery")
    if own_word:
        tricks.add("own_operators")
    if _is_hard_coded(program, test):
        tricks.add("hard_coded")
    return tuple(sorted(tricks))


def _is_hard_coded(program: str, test: Test) -> bool:
    """Whether the program has several of the test's cases in it, argument and answer side by side."""
    if len(_ANSWERING_BRANCH.findall(program)) < _ENOUGH and "{" not in program:
        return False
    cases = _cases_of(test)
    if sum(argument in program and answer in program for argument, answer in cases) < _ENOUGH:
        return False
    try:
        known = set(_known_by_heart(ast.parse(program)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return len(known & set(cases)) >= _ENOUGH


def _cases_of(test: Test) -> tuple[Case, ...]:
    match test:
        case Check() | Asserts():
            return _cases_in(test.source)
        case Calls():
            alone = ((arguments[0], answer) for arguments, answer in test.cases if len(arguments) == 1)
            return tuple(case for argument, answer in alone for case in _as_text(argument, answer))
        case _:
            return ()


@lru_cache(maxsize=4096)
def _cases_in(source: str) -> tuple[Case, ...]:
    """The ``call(literal) == literal`` of a test, calls of one argument."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=ast.Call(args=[argument]), ops=[ast.Eq()], comparators=[answer]):
                found += _as_case(argument, answer)
    return tuple(found)


def _as_case(argument: ast.expr, answer: ast.expr) -> list[Case]:
    try:
        return _as_text(ast.literal_eval(argument), ast.literal_eval(answer))
    except (ValueError, TypeError):
        return []


def _as_text(argument: object, answer: object) -> list[Case]:
    """The pair, but not where it has no text: an integer of more digits than are printed, a nest too deep."""
    try:
        return [(repr(argument), repr(answer))]
    except (ValueError, RecursionError):
        return []


def _known_by_heart(tree: ast.Module) -> Iterator[Case]:
    """The ``if x == literal: return literal`` of a program, and the literal entries of its dictionaries."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Compare(ops=[ast.Eq()], comparators=[argument]), body=[ast.Return(value=answer), *_]):
                yield from _as_case(argument, answer) if answer is not None else ()
            case ast.Dict():
                for key, value in zip(node.keys, node.values, strict=True):
                    if key is not None:
                        yield from _as_case(key, value)
