"""Expert code as the traces of RA3: lines are actions, one-line comments between them are latents.

The model of (Zhang et al., 2025) sees a program as a sequence of actions (its physical lines), before each of which a
latent may stand: either nothing (ACT, the previous intent goes on) or a fresh one-line comment (THINK). An annotated
trace is therefore ordinary commented Python, and the same program: every latent that `Annotated` accepts leaves the
syntax tree as it was.

All chunks *lead* with their newline and the text ends without one, because that is where the tokenizers of code models
cut. So the source's final newline and the blank lines at its ends are not part of a trace. Line ends are told as Python
tells them: CRLF and lone CR become LF. Columns, form feeds and tabs stay as they are.
"""

from __future__ import annotations

import io
import re
import token
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from engine.text import unix_newlines

IndentMode = Literal["implied", "column0"]

_BLANK = " \t\f"
_DEFAULT_UNIT = "    "
# Since 3.12 an f-string (3.14: a template) is told piece by piece; what is inside is still one literal to us.
_LITERAL_OPENS = {getattr(token, name) for name in ("FSTRING_START", "TSTRING_START") if hasattr(token, name)}
_LITERAL_CLOSES = {getattr(token, name) for name in ("FSTRING_END", "TSTRING_END") if hasattr(token, name)}
_LITERAL_EDGES = _LITERAL_OPENS | _LITERAL_CLOSES
_LAYOUT = {token.NL, token.INDENT, token.DEDENT, token.ENDMARKER}


class TraceError(ValueError):
    """Source that cannot be told as a trace, with the 1-based `line` at fault (0: the source as a whole)."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line
        self.why = why


@dataclass(frozen=True, slots=True)
class Line:
    """One action: a physical line of code, and what may stand before it."""

    text: str
    """A newline, the blank lines before it, and the line. Only the first of a prompt-less trace has no newline."""

    indent: str
    """Indentation that the *state* implies for a latent here: that of the logical line before, one level deeper when it
    opens a block. Never read from this line, which would leak it. Empty where `may_think` is false."""

    may_think: bool
    """A comment line may be put before this line without changing the program."""


@dataclass(frozen=True, slots=True)
class Trace:
    """An expert's program after a prompt (which may be empty)."""

    id: str
    prompt: str
    """The given part, without its final newline."""
    lines: tuple[Line, ...]
    source: str = ""
    """Where it was found, for a person: `json/decoder.py:332 JSONDecoder.decode`."""
    comments: tuple[str | None, ...] = ()
    """For each line the expert's own full-line comments before it, as a latent would tell them; empty: not known."""

    @property
    def text(self) -> str:
        """The bare program: prompt and lines, without a final newline."""
        return self.prompt + "".join(line.text for line in self.lines)


class Segment(NamedTuple):
    """Lines `start:stop` governed by one latent; None for the lines before the first one."""

    start: int
    stop: int
    latent: str | None

    @property
    def duration(self) -> int:
        """How many lines the option lasts: the τ of (Zhang et al., 2025)."""
        return self.stop - self.start


class Chunk(NamedTuple):
    """A piece of text that is tokenised by itself: the latent before line number `line` of the trace, or the line."""

    line: int
    kind: Literal["latent", "line"]
    text: str


@dataclass(frozen=True, slots=True)
class Annotated:
    """A trace and the latent before each of its lines.

    Raises ValueError for a latent that would change the program: where none may stand, or with a line end in it.
    """

    trace: Trace
    latents: tuple[str | None, ...]
    """One a line: the comment's text after its `#` (as sampled, so it usually leads with a space), or None for ACT."""
    mode: IndentMode = field(default="implied", kw_only=True)
    trailing: bool = field(default=False, kw_only=True)
    """A latent stands behind the blank lines before its line, as where newlines end chunks; else before them."""

    def __post_init__(self) -> None:
        if len(self.latents) != len(self.trace.lines):
            raise ValueError(f"{len(self.latents)} latents for the {len(self.trace.lines)} lines of {self.trace.id}")
        for index, (line, latent) in enumerate(zip(self.trace.lines, self.latents, strict=True)):
            if latent is None:
                continue
            if not line.may_think:
                raise ValueError(f"line {index} of {self.trace.id} goes on a logical line: no latent may stand there")
            if any(end in latent for end in "\n\r\0"):
                raise ValueError(f"the latent of line {index} of {self.trace.id} is not one line: {latent!r}")

    def chunks(self) -> Iterator[Chunk]:
        """Latents and lines in order; with the prompt before them they concatenate to `text`."""
        for index, (line, latent) in enumerate(zip(self.trace.lines, self.latents, strict=True)):
            if latent is None:
                yield Chunk(index, "line", line.text)
                continue
            lead, body = split_lead(line.text)
            blank, lead = (lead[:-1], "\n") if self.trailing else ("", lead or "\n")
            yield Chunk(index, "latent", blank + latent_prefix(line, self.mode) + latent)
            yield Chunk(index, "line", lead + body)

    @property
    def text(self) -> str:
        """The commented program, without a final newline."""
        return self.trace.prompt + "".join(chunk.text for chunk in self.chunks())

    def segments(self) -> tuple[Segment, ...]:
        """The runs of lines that each latent governs; together they cover all lines."""
        starts = [i for i, latent in enumerate(self.latents) if latent is not None or i == 0]
        stops = [*starts[1:], len(self.latents)]
        return tuple(Segment(a, b, self.latents[a]) for a, b in zip(starts, stops, strict=False))


def split_lead(text: str) -> tuple[str, str]:
    """A trace's line as the newline and blank lines before it, and the line itself."""
    match = re.match(r"(?:[ \t\f]*\n)*", text)
    end = match.end() if match else 0
    return text[:end], text[end:]


def latent_prefix(line: Line, mode: IndentMode) -> str:
    r"""What opens a latent before `line`: `"\n" + indent + "#"`, or `"\n#"` (the paper's) in mode `column0`.

    Before the first line of a prompt-less trace it is `"#"`, as the latent then leads the file.
    """
    newline = "\n" if line.text.startswith("\n") else ""
    return newline + (line.indent if mode == "implied" else "") + "#"


def parse_trace(
    source: str,
    *,
    id: str,
    prompt_end: int = 0,
    keep_comments: bool = False,
    where: str = "",
) -> Trace:
    """Tell `source` as a trace whose prompt is its first `prompt_end` physical lines (kept as they are, comments too).

    Full-line comments of the rest are no lines: those before a line where a latent may stand become its
    `Trace.comments`, several as one; the others are dropped. With `keep_comments` they are lines like any other (that
    no latent may precede). Trailing comments and docstrings stay. `where` becomes `Trace.source`.

    Raises TraceError when the source is no valid Python, or the prompt ends within a logical line.
    """
    rows = unix_newlines(source).split("\n")
    _check_syntax("\n".join(rows))
    layout = _read_layout(rows)
    _check_prompt(layout, prompt_end, len(rows))
    prompt = _without_blank_end(rows[:prompt_end])
    pairs = list(_read_lines(rows, len(prompt), layout, keep_comments=keep_comments))
    lines, comments = tuple(line for line, _ in pairs), tuple(comment for _, comment in pairs)
    return Trace(id, "\n".join(prompt), lines, where, comments)


def as_one_action(trace: Trace) -> Trace:
    """The same program as one action: a single line that holds the text of all, before which one latent may stand."""
    first, text = trace.lines[0], "".join(line.text for line in trace.lines)
    return Trace(trace.id, trace.prompt, (Line(text, first.indent, first.may_think),), trace.source)


@dataclass(slots=True)
class _Layout:
    """What the tokens say of each physical line ("row", counted from 0)."""

    starts: dict[int, str]
    """Rows where a logical line starts, with the indentation the state before them implies."""
    spans: list[tuple[int, int]]
    """First and last row of each logical line."""
    comments: set[int]
    """Rows that hold nothing but a comment."""
    joined: set[int]
    """Rows that a backslash on the row before glues to it."""


def _check_syntax(source: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an expert's odd escape is no concern of ours
            compile(source, "<trace>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise TraceError(error.lineno or 0, f"not valid Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, surrogates; nested too deeply
        raise TraceError(0, f"Python cannot parse it: {error or type(error).__name__}") from error


def _read_layout(rows: list[str]) -> _Layout:
    spans, comments = _scan("\n".join(rows) + "\n")
    commented = {row for row, _ in comments}  # a backslash at the end of a comment joins nothing
    joined = {i + 1 for i, row in enumerate(rows) if row.endswith("\\") and i not in commented}
    spans = [(_first_row(start, joined), stop, opens) for start, stop, opens in spans]
    return _Layout(
        starts=_implied_indents(rows, spans),
        spans=[(start, stop) for start, stop, _ in spans],
        comments={row for row, column in comments if row not in joined and not rows[row][:column].strip(_BLANK)},
        joined=joined,
    )


def _scan(source: str) -> tuple[list[tuple[int, int, bool]], list[tuple[int, int]]]:
    """The logical lines (row of the first token, last row, ends with a colon) and the comments (row, column)."""
    spans: list[tuple[int, int, bool]] = []
    comments: list[tuple[int, int]] = []
    first, last_text, depth = -1, "", 0
    try:
        for kind, text, (row, column), _, _ in tokenize.generate_tokens(io.StringIO(source, newline="\n").readline):
            if kind in _LAYOUT or (depth and kind not in _LITERAL_EDGES):
                continue
            if kind == token.COMMENT:
                comments.append((row - 1, column))
            elif kind == token.NEWLINE:
                spans.append((first, row - 1, last_text == ":"))
                first = -1
            else:
                depth += (kind in _LITERAL_OPENS) - (kind in _LITERAL_CLOSES)
                first = row - 1 if first < 0 else first
                last_text = text
    except (tokenize.TokenError, SyntaxError) as error:  # the tokenizer in Python is a little stricter than the parser
        raise TraceError(0, f"Python cannot tokenize it: {error.args[0]}") from error
    return spans, comments


def _first_row(row: int, joined: set[int]) -> int:
    """The row where the logical line with its first token on `row` starts: lone backslashes may precede it."""
    while row in joined:
        row -= 1
    return row


def _implied_indents(rows: list[str], spans: list[tuple[int, int, bool]]) -> dict[int, str]:
    """For each logical line (first row, last row, opens a block) what the lines before it imply for the next one."""
    implied: dict[int, str] = {}
    indent, unit, opens = "", _DEFAULT_UNIT, False
    for start, _, opens_next in spans:
        implied[start] = indent + unit if opens else indent
        current = _indent(rows[start])
        if opens and current.startswith(indent):
            unit = current.removeprefix(indent) or unit
        indent, opens = current, opens_next
    return implied


def _indent(row: str) -> str:
    whole = row[: len(row) - len(row.lstrip(_BLANK))]
    return whole.rpartition("\f")[2]  # a form feed sets the column back to 0


def _check_prompt(layout: _Layout, prompt_end: int, rows: int) -> None:
    if not 0 <= prompt_end <= rows:
        raise TraceError(prompt_end, f"the prompt cannot end there: the source has {rows} lines")
    for start, stop in layout.spans:
        if start < prompt_end <= stop:
            raise TraceError(prompt_end, f"the prompt ends within the logical line of lines {start + 1} to {stop + 1}")


def _without_blank_end(rows: list[str]) -> list[str]:
    end = len(rows)
    while end and not rows[end - 1].strip(_BLANK):
        end -= 1
    return rows[:end]


def _read_lines(
    rows: list[str], begin: int, layout: _Layout, *, keep_comments: bool
) -> Iterator[tuple[Line, str | None]]:
    """The lines, each with the comment that was dropped before it."""
    before = ["\n"] if begin else []  # the newline and the blank lines that wait for the line they belong to
    dropped: list[str] = []
    may_think = True  # no backslash leads from the line before into the blank ones
    for index in range(begin, len(rows)):
        row = rows[index]
        if not row.strip(_BLANK):
            before += [row, "\n"] if before else []
            may_think = may_think and index not in layout.joined
            continue
        if index in layout.comments and not keep_comments:
            dropped.append(row.strip(_BLANK)[1:].strip())
            continue
        may_think = may_think and index in layout.starts
        line = Line("".join(before) + row, layout.starts[index] if may_think else "", may_think)
        yield line, _one_comment(dropped) if may_think else None
        before, dropped, may_think = ["\n"], [], True
    if not may_think:  # the last line ends with a backslash: without the blank one after it, it is no Python
        yield Line("\n\n", "", may_think=False), None


def _one_comment(texts: list[str]) -> str | None:
    """Comments as one, a blank before each as a comment has it after its `#`; None where they say nothing."""
    return "".join(f" {text}" for text in texts if text) or None
