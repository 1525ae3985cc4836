"""Progress: bars that give way to lines on a terminal, and not too many lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.runs.progress import Progress
from ra3tui.cli.options import count, duration, printable
from ra3tui.cli.progress import Bars, Lines, make_bars


def at(done: int, total: int, phase: str = "ntp", unit: str = "updates", note: str = "") -> Progress:
    return Progress("r1", "ntp", phase, done, total, unit, note)


def test_lines_tell_the_beginning_and_the_end_of_a_phase(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for done in range(1, 101):
        lines.progress(at(done, 100, note=f"loss {done}"))
    assert capsys.readouterr().err.splitlines() == [
        "r1 ntp ntp: 1/100 updates  loss 1",
        "r1 ntp ntp: 100/100 updates  loss 100",
    ]


def test_lines_tell_each_phase(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for phase in ("E-step 1/2", "M-step 1/2", "E-step 2/2"):
        lines.progress(at(1, 1, phase))
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_samples_that_begin_anew_each_update_fill_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for update in range(1, 51):
        for sample in (1, 2):
            lines.progress(at(sample, 2, "rlvr", "samples"))
        lines.progress(at(update, 50, "rlvr"))
    assert len(capsys.readouterr().err.splitlines()) == 4


def terminal() -> tuple[io.StringIO, Console]:
    written = io.StringIO()
    return written, Console(file=written, force_terminal=True, width=100, color_system=None, legacy_windows=False)


def test_bars_of_a_phase_that_is_over_become_lines() -> None:
    written, console = terminal()
    with make_bars(console) as shown:
        bars = Bars(shown)
        bars.progress(at(3, 4, note="loss 1.5"))
        bars.progress(at(4, 4, note="loss 1.4"))
        bars.progress(at(1, 8, "eval", "samples"))
        assert [bar.description for bar in shown.tasks] == ["r1 ntp eval"]
        bars.close()
        assert shown.tasks == []
    assert "r1 ntp ntp  4/4 updates  0s  loss 1.4\n" in written.getvalue()


def test_what_a_phase_counts_has_a_bar_each_and_starts_again_in_its_own() -> None:
    _, console = terminal()
    with make_bars(console) as shown:
        bars = Bars(shown)
        for update in (1, 2):
            bars.progress(at(4, 4, "rlvr", "samples"))
            bars.progress(at(update, 2, "rlvr"))
            bars.progress(at(1, 4, "rlvr", "samples"))
        assert [(bar.completed, bar.total) for bar in shown.tasks] == [(1, 4), (2, 2)]


def test_an_event_keeps_its_brackets_and_loses_its_escapes() -> None:
    written, console = terminal()
    with make_bars(console) as shown:
        Bars(shown).event("r1", "warning", "[red]x[/red] \x1b[31m")
    assert "r1 warning: [red]x[/red] \\x1b[31m\n" in written.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.2, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m"), (273600, "3d04h")],
)
def test_spans_are_told_in_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (812, "812"), (12_000, "12.0k"), (3_400_000, "3.4M")])
def test_counts_are_told_in_short(number: int, text: str) -> None:
    assert count(number) == text


def test_control_characters_are_shown_and_text_is_kept() -> None:
    assert printable("a\tb\nπ\x1b[2J\r\x07") == "a\tb\nπ\\x1b[2J\\r\\x07"
