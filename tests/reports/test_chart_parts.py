"""Charts: round numbers beside the axes, and every point within the frame."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geodet.reports.chart_parts import BarChart, ChartLine, LineChart, nice_ticks

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


def chart(x, y, **ends):
    return LineChart(title="t", x_label="x", y_label="y", lines=(ChartLine("a", x, y, 0),), **ends)


@given(NUMBERS, NUMBERS)
def test_ticks_enclose_the_range_in_few_equal_steps(low, high):
    assume(high - low > 2e-6 * max(abs(low), abs(high), 1e-5))
    ticks = nice_ticks(low, high)
    steps = np.diff(ticks)
    assert 2 <= len(ticks) <= 8
    rounding = 1e-3 * (high - low)
    assert ticks[0] <= low + rounding
    assert ticks[-1] >= high - rounding
    np.testing.assert_allclose(steps, steps[0], rtol=1e-2)
    assert f"{steps[0]:.0e}"[0] in "125"


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_every_point_is_drawn_within_the_frame(points):
    x, y = zip(*points, strict=True)
    one = chart(x, y)
    left, top, right, bottom = one.frame
    placed = one.points(one.lines[0])
    assert len(placed) == len(points)
    assert all(left <= a <= right and top <= b <= bottom for a, b in placed)


def test_larger_values_are_further_to_the_right_and_up():
    one = chart([0, 1, 2], [5, 7, 6])
    (x0, y0), (x1, y1), (x2, y2) = one.points(one.lines[0])
    assert x0 < x1 < x2
    assert y0 > y2 > y1


def test_values_that_are_not_finite_leave_no_point():
    one = chart([0, 1, 2, 3], [np.nan, 1, np.inf, 2])
    assert len(one.points(one.lines[0])) == 2
    assert chart([], []).path(chart([], []).lines[0]) == ""


def test_a_long_line_keeps_its_ends_and_few_points():
    x = np.arange(100_000)
    one = chart(x, x)
    placed = one.points(one.lines[0])
    assert len(placed) == 400
    left, _, right, _ = one.frame
    assert (placed[0][0], placed[-1][0]) == (left, right)


@pytest.mark.parametrize(
    ("ends", "texts"),
    [((0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]), ((0, 2e-4), ["0", "5e-05", "0.0001"])],
)
def test_numbers_beside_an_axis_are_short(ends, texts):
    shown = [tick.text for tick in chart([0], [0], x_range=ends).x_ticks]
    assert shown[: len(texts)] == texts


@pytest.mark.parametrize("last", [2, 3, 12])
def test_an_axis_that_counts_shows_whole_numbers(last):
    shown = [tick.text for tick in chart([1, last], [0, 1], is_counted=True).x_ticks]
    assert all(text.isdigit() for text in shown)
    assert len(shown) >= 2


def test_stacked_bars_stand_on_each_other():
    bars = BarChart(
        title="t",
        x_label="x",
        y_label="n",
        names=("found", "missed"),
        styles=("right", "missed"),
        bars=(("0-5", (30, 10)), ("5-10", (0, 40))),
    )
    found, missed, nothing, rest = bars.rectangles()
    assert missed[1] + missed[3] == pytest.approx(found[1])
    assert found[3] == pytest.approx(3 * missed[3], abs=0.2)
    assert (nothing[3], rest[3]) == (0, pytest.approx(found[3] + missed[3]))
    assert found[5] == "0-5: 30 found"


@given(st.lists(NUMBERS, min_size=1, max_size=9))
def test_numbers_of_the_y_axis_leave_room_for_its_label(values):
    one = chart(list(range(len(values))), values)
    longest = max(len(tick.text) for tick in one.y_ticks)
    assert one.frame[0] - 6 - 6.2 * longest >= 16  # the label ends there
