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
