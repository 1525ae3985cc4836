"""Line charts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine.reports.charts import line_chart


@pytest.mark.parametrize("name", ["ra3", "partial, then all or nothing"])
def test_the_legend_stands_inside_the_chart_however_long_a_name_is(name: str) -> None:
    chart = line_chart("t", "x", "y", {name: np.ones((1, 3))})
    match = re.search(rf'<text x="(\d+)" y="\d+">{name}</text>', chart)
    assert match
    assert int(match[1]) + 6 * len(name) < 640


def test_names_stand_beside_the_title_in_their_order_and_colours_and_in_rows_where_they_are_many() -> None:
    names = [f"an arm, number {n}" for n in range(7)]
    chart = line_chart("A title", "x", "y", {name: np.full((1, 3), n + 1.0) for n, name in enumerate(names)})
    found = re.findall(
        r'<path d="M(\d+) (\d+)h18" stroke="(#\w+)" stroke-width="3"/>\n<text x="\d+" y="\d+">([^<]+)<', chart
    )
    assert [name for *_, name in found] == names
    lines = re.findall(r'<polyline .*stroke="(#\w+)"', chart)
    assert [colour for _, _, colour, _ in found] == lines
    places = [(int(y), int(x)) for x, y, _, _ in found]
    assert places == sorted(places)
    assert len({y for y, _ in places}) > 1
    assert min(x for _, x in places) > 52 + 8 * len("A title") - 1
    highest = min(
        float(y) for points in re.findall(r'points="([^"]+)"', chart) for y in re.findall(r",([\d.]+)", points)
    )
    assert highest > max(y for y, _ in places)
