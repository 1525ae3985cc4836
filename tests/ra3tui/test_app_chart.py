"""What a chart draws: the envelope, the gaps, the average, the axis, the phases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ra3tui.widgets import figures
from ra3tui.widgets.braille import cells, character, filled
from ra3tui.widgets.curve import Curve, ema, spans, ticks
from ra3tui.widgets.interval import interval
from ra3tui.widgets.plot import LABELS, Band, Piece, draw
from ra3tui.widgets.sparkline import sparkline

SIZE = (48, 10)


def curve(values: list[float]) -> Curve:
    return Curve(np.arange(len(values)), np.array(values))


def text(rows: list[list[Piece]] | None) -> list[str]:
    assert rows is not None
    return ["".join(piece.text for piece in row) for row in rows]


def plot(values: list[float], bands: tuple[Band, ...] = (), *, smooth: bool = False, log: bool = False) -> list[str]:
    return text(draw(curve(values), bands, (0, len(values) - 1), SIZE, smooth=smooth, log=log))


def test_a_spike_among_100_000_points_reaches_the_top_row() -> None:
    values = [0.0] * 100_000
    values[70_000] = 9.0
    top = plot(values)[0][LABELS + 1 :]
    assert [abs(x - 0.7 * 40) <= 1 for x, cell in enumerate(top) if cell != " "] == [True]


def test_nan_is_a_gap_and_not_a_bridge() -> None:
    values = [1.0] * 300
    values[100:200] = [math.nan] * 100
    line = next(row for row in plot(values)[:8] if row[LABELS + 1 :].strip())[LABELS + 1 :]
    assert line[2] != " "
    assert line[15:25].strip() == ""
    assert line[38] != " "


def test_few_points_are_joined_by_a_straight_line() -> None:
    low, high = spans(np.array([0, 4]), np.array([0.0, 8.0]), 5)
    assert low.tolist() == [0, 1, 3, 5, 7]
    assert high.tolist() == [1, 3, 5, 7, 8]


def test_points_of_one_column_become_its_envelope() -> None:
    low, high = spans(np.array([1, 1, 1]), np.array([3.0, 7.0, 5.0]), 3)
    assert (low[1], high[1]) == (3, 7)
    assert low[0] > high[0]


def test_the_average_is_the_debiased_recursion_across_blocks_too() -> None:
    values = np.random.default_rng(0).normal(size=333)
    mean, expected = 0.0, []
    for t, value in enumerate(values, start=1):
        mean = 0.9 * mean + 0.1 * value
        expected.append(mean / (1 - 0.9**t))
    assert ema(values, 0.9) == pytest.approx(expected)


def test_the_average_of_a_constant_is_that_constant_from_its_first_point() -> None:
    assert ema(np.full(200, 3.5), 0.97) == pytest.approx(np.full(200, 3.5))


def test_points_under_the_average_stay_visible_but_faint() -> None:
    values = [float(i % 2) for i in range(400)]
    rows = draw(curve(values), (), (0, 399), SIZE, smooth=True, log=False)
    assert rows is not None
    styles = {piece.style for row in rows[:8] for piece in row if piece.text.strip()}
    assert {"faint", "curve"} <= styles


def test_a_log_axis_leaves_out_what_is_not_above_zero() -> None:
    assert plot([0.0, 1.0, 10.0, 100.0] * 20, log=True)[0].strip().startswith("100")
    assert draw(curve([0.0, -1.0]), (), (0, 1), SIZE, smooth=False, log=True) is None


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_finite_draws_nothing(values: list[float]) -> None:
    assert draw(curve(values), (), (0, 1), SIZE, smooth=True, log=False) is None


@pytest.mark.parametrize("values", [[0.0], [5.0] * 3, [1e-12, 2e-12], [1e300, -1e300], [3.0, math.inf]])
def test_odd_ranges_are_drawn(values: list[float]) -> None:
    assert any(row[LABELS + 1 :].strip() for row in plot(values)[:8])


def test_phases_stand_where_they_begin_and_an_eval_between_them_is_kept() -> None:
    bands = (Band(0, "eval", 0), Band(0, "estep", 0), Band(50, "mstep", 0), Band(75, "eval", 0), Band(75, "rlvr", 0))
    line = plot([1.0 + i for i in range(101)], bands)[8][LABELS + 1 :]
    assert line.startswith("◆E1─")
    assert [line.index(letter) / 40 for letter in ("M1", "R")] == pytest.approx([0.5, 0.75], abs=0.05)
    assert line[line.index("R") - 1] == "◆"


def test_a_phase_of_an_unknown_kind_is_drawn_too() -> None:
    assert "·" in plot([1.0, 2.0], (Band(0, "distil", 0),))[8]


def test_ticks_are_round_and_inside() -> None:
    assert ticks(-1.53, -0.57, 5, log=False) == pytest.approx([-1.4, -1.2, -1.0, -0.8, -0.6])
    assert ticks(0.5, 2000.0, 4, log=True) == pytest.approx([1, 10, 100, 1000])


def test_every_row_of_a_chart_is_as_wide_as_the_chart() -> None:
    rows = plot([float(i) for i in range(77)])
    assert {len(row) for row in rows[:9]} == {SIZE[0]}


def test_dots_become_the_braille_of_their_cell() -> None:
    dots = filled(np.array([0.0, 3.0]), np.array([0.0, 3.0]), 4)
    assert character(int(cells(dots)[0, 0])) == "⢁"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.0, "0.000"), (1.23456, "1.235"), (0.00002, "2.0e-5"), (math.nan, "nan"), (12345.6, "12346")],
)
def test_numbers_keep_their_significant_digits(value: float | None, shown: str) -> None:
    assert figures.number(value) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(5, "5s"), (200, "3m"), (7500, "2h"), (273_600, "3d")])
def test_an_age_takes_one_unit(seconds: float, shown: str) -> None:
    assert figures.age(seconds) == shown


def test_the_average_of_very_many_points_is_that_of_their_means() -> None:
    values = np.sin(np.arange(100_000) / 9000)
    smooth = Curve(np.arange(100_000), values).smoothed()
    exact = ema(values, 1 - 2 / (2500 + 1))
    assert smooth.last_step == 99_999
    assert smooth.values[100:] == pytest.approx(exact[smooth.steps[100:]], abs=0.005)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (7, "7s"), (200, "3m20s"), (7500, "2h05m"), (273_600, "3d04h"), (-1, "0s")]
)
def test_durations_take_two_units(seconds: float | None, shown: str) -> None:
    assert figures.duration(seconds) == shown


def test_a_gain_that_rounds_to_zero_has_no_minus() -> None:
    assert figures.signed(-0.0001) == "+0.00"


def test_points_gained_stand_with_their_paired_interval_where_it_is_known() -> None:
    cell = {"delta": 0.031, "delta_low": -0.02, "delta_high": 0.0801}
    assert figures.points_gained(cell) == "+3.1 [-2..+8]"
    assert figures.points_gained(cell | {"delta_low": None, "delta_high": None}) == "+3.1"
    assert figures.points_gained({"delta": None}) == ""


def test_a_sparkline_runs_from_its_lowest_to_its_highest_block() -> None:
    assert sparkline([1.0, 0.0, 0.5]) == "█▁▅"
    assert sparkline([2.0, 2.0]) == "▄▄"


def test_an_interval_is_drawn_to_scale() -> None:
    assert interval(0.5, 0.25, 0.75, 9) == "  ├─●─┤  "
