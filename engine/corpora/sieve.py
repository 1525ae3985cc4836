"""Which candidates become traces: those of a fit length that parse, are no licence, and were not seen before."""

from __future__ import annotations

import hashlib
import io
import re
import token
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from engine.corpora.account import Account
from engine.corpora.traces import Trace, TraceError, parse_trace

Duplicates = Literal["near", "exact"]
"""Which of two traces is left out as a duplicate: one that differs from another in literals, comments, layout and
prompt alone, or one that differs in nothing."""

_LICENCE = re.compile(r"copyright|licen[cs]ed under|all rights reserved|SPDX-", re.IGNORECASE)
_LITERALS = {token.NUMBER, token.STRING}
_IGNORED = {token.COMMENT, token.NL, token.NEWLINE, token.INDENT, token.DEDENT, token.ENDMARKER}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A candidate: source whose first `prompt_end` lines are the prompt."""

    id: str
    where: str
    source: str
    prompt_end: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Actions of a trace, its characters, and which of two is one too many."""

    min_lines: int
    max_lines: int
    max_chars: int
    duplicates: Duplicates


def sift(snippets: Iterable[Snippet], account: Account, bounds: Bounds, limit: int | None) -> list[Trace]:
    """The first ``limit`` traces, in order; what is left out before them goes to the account."""
    traces: list[Trace] = []
    seen: set[bytes] = set()
    for snippet in snippets:
        if limit is not None and len(traces) >= limit:
            break
        try:
            trace = parse_trace(snippet.source, id=snippet.id, prompt_end=snippet.prompt_end, where=snippet.where)
        except TraceError as error:
            account.skip("does not parse", f"{snippet.where}: {error}")
            continue
        reason = _unfit(trace, bounds) or _seen_before(trace, bounds.duplicates, seen)
        if reason:
            account.skip(reason, snippet.where)
        else:
            traces.append(trace)
    return traces


def _unfit(trace: Trace, bounds: Bounds) -> str | None:
    if len(trace.lines) < bounds.min_lines:
        return "too short"
    if len(trace.lines) > bounds.max_lines or len(trace.text) > bounds.max_chars:
        return "too long"
    if _LICENCE.search(trace.text):
        return "licence text"
    if not trace.text.isascii() and any(not word.isascii() for word in _words(trace.text, 0)):
        return "non-ASCII identifiers"
    return None


def _seen_before(trace: Trace, duplicates: Duplicates, seen: set[bytes]) -> str | None:
    if duplicates == "exact":
        compared = trace.text
    else:
        prompt_rows = trace.prompt.count("\n") + 1 if trace.prompt else 0
        compared = "\0".join(_words(trace.text, prompt_rows))
    key = hashlib.sha256(compared.encode()).digest()
    if key in seen:
        return "duplicate"
    seen.add(key)
    return None


def _words(code: str, skipped_rows: int) -> Iterator[str]:
    """Names and operators of `code` in order, each literal as its kind, those of the first rows left out."""
    for kind, text, (row, _), *_ in tokenize.generate_tokens(io.StringIO(code + "\n").readline):
        if row <= skipped_rows:
            continue
        if kind in _LITERALS:
            yield token.tok_name[kind]
        elif kind not in _IGNORED:
            yield text
