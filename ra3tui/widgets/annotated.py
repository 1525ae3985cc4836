"""An annotated trace as text: each latent above the lines it governs, each line with what the latent gained it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from textual.content import Content
from textual.highlight import highlight

from ra3tui.widgets import figures

Row = dict[str, Any]
COLOURS = ("accent", "primary")


class Segment(NamedTuple):
    """The lines ``start:stop`` that one latent governs; ``latent`` is None before the first."""

    start: int
    stop: int
    latent: str | None


class Column(NamedTuple):
    """A figure in front of each line."""

    title: str
    width: int


FULL = (
    *(Column("line", 4), Column("bare", 7), Column("with", 7), Column("gain", 7)),
    *(Column("p think", 8), Column("reward", 7), Column("adv", 7)),
)
NARROW = (Column("line", 4), Column("gain", 7), Column("p think", 8))
COMPACT = (Column("gain", 6),)


def segments(lines: Sequence[Row]) -> list[Segment]:
    """Runs of lines, each with the latent in front of it; together they cover all lines."""
    starts = [i for i, line in enumerate(lines) if i == 0 or line["latent"] is not None]
    stops = [*starts[1:], len(lines)]
    return [Segment(start, stop, lines[start]["latent"]) for start, stop in zip(starts, stops, strict=True)]


def gain(line: Row) -> float:
    """Nats that the latents made the line likelier by."""
    return float(line["logprob"] - line["bare_logprob"])


def annotate(lines: Sequence[Row], columns: Sequence[Column]) -> Content:
    """The trace with ``columns`` in front, one row a latent and a line, under a row of titles.

    A latent's gain is the sum over the lines it governs.
    """
    if not lines:
        return Content.styled("nothing to show yet", "$foreground 60%")
    code = highlight("\n".join(_code(line) for line in lines), language="python").split("\n", allow_blank=True)
    heat = _Heat.of(lines)
    rows = [Content.styled("".join(f"{column.title:>{column.width}}" for column in columns), "$foreground 60%")]
    for number, segment in enumerate(segments(lines)):
        tint = COLOURS[number % 2] if segment.latent is not None else ""
        if segment.latent is not None:
            rows.append(_latent_row(lines, segment, columns, tint))
        for i in range(segment.start, segment.stop):
            figures_ = _figures(lines[i], i, columns, heat)
            rows.append(Content.assemble(*figures_, _gutter(segment, i, tint), code[i]))
    return Content("\n").join(rows)


def _latent_row(lines: Sequence[Row], segment: Segment, columns: Sequence[Column], tint: str) -> Content:
    total = sum(gain(line) for line in lines[segment.start : segment.stop])
    margin = "".join(f"{figures.signed(total) if column.title == 'gain' else '':>{column.width}}" for column in columns)
    indent = _indent(lines[segment.start])
    comment = str(segment.latent).strip()
    comment = comment if comment.startswith("#") else f"# {comment}"
    return Content.assemble(
        (margin, "bold"), (f" ╭ {indent}", f"${tint}"), (comment, f"bold $text-{tint} on ${tint} 15%")
    )


def _gutter(segment: Segment, i: int, tint: str) -> tuple[str, str]:
    if segment.latent is None:
        return "   ", ""
    return (" ╰ " if i == segment.stop - 1 else " │ "), f"${tint}"


class _Heat(NamedTuple):
    """What the shades of a trace are measured against."""

    gain: float
    """The largest gain or loss of a line."""
    highest: float
    """The log-probability that is not shaded."""
    span: float
    """From there to the lowest, which is darkest."""

    @classmethod
    def of(cls, lines: Sequence[Row]) -> _Heat:
        logprobs = [line[name] for line in lines for name in ("logprob", "bare_logprob")]
        gains = [abs(gain(line)) for line in lines]
        return cls(max(1e-9, *gains), max(logprobs), max(1e-9, max(logprobs) - min(logprobs)))

    def unlikely(self, logprob: float) -> str:
        """The shade of a log-probability."""
        return _shade("error", (self.highest - logprob) / self.span)


def _figures(line: Row, i: int, columns: Sequence[Column], heat: _Heat) -> list[tuple[str, str]]:
    gained = gain(line)
    cells = {
        "line": (str(i + 1), "$foreground 60%"),
        "bare": (f"{line['bare_logprob']:.2f}", heat.unlikely(line["bare_logprob"])),
        "with": (f"{line['logprob']:.2f}", heat.unlikely(line["logprob"])),
        "gain": (figures.signed(gained), _shade("success" if gained > 0 else "error", abs(gained) / heat.gain)),
        "p think": (figures.EMPTY if line["p_think"] is None else f"{line['p_think']:.3f}", ""),
        "reward": (f"{line['reward']:.2f}", ""),
        "adv": (figures.signed(line["advantage"]), ""),
    }
    return [(f"{cells[column.title][0]:>{column.width}}", cells[column.title][1]) for column in columns]


def _shade(colour: str, fraction: float) -> str:
    return f"on ${colour} {round(55 * min(1.0, fraction))}%"


def _code(line: Row) -> str:
    """The physical line, without the newline and the blank lines that lead it."""
    return str(line["text"]).rsplit("\n", 1)[-1]


def _indent(line: Row) -> str:
    code = _code(line)
    return code[: len(code) - len(code.lstrip())]
