"""Charts of a report: lines and bars, as the coordinates of an SVG of fixed size.

Colours and letters come from the style sheet, so that a chart is dark on a dark page and black on
paper; a picture that matplotlib draws is neither, and of 20 times the bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from geodet.geometry.arrays import Floats

__all__ = ["BarChart", "ChartLine", "ChartRule", "LineChart", "Tick", "nice_ticks"]

_WIDTH, _HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 370, 24, 210  # of the area in which lines are drawn, at least
_LETTER, _BESIDE = 6.4, 26  # width of a digit, and what the label of the y axis and gaps take
_LEAST_SHARE, _LEAST_SPAN = 1e-6, 1e-12  # of the values of an axis: less is rounding
_MOST_POINTS = 400  # of a line: more than pixels are not seen


@dataclass(frozen=True, slots=True)
class Tick:
    """A number beside an axis."""

    at: float
    """Place on the axis, in pixels of the chart."""
    text: str
    """The number."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A line of a chart."""

    name: str
    """In the legend; empty: not in it."""
    x: Sequence[float] | Floats
    """Values along x; those that are not finite are left out."""
    y: Sequence[float] | Floats
    """As many values along y."""
    style: int | str
    """Number of its colour and dashes, from 0 to 5; ``faint`` for a line that only guides."""
    dots: Sequence[float] = ()
    """Radii of dots at the points, in pixels; empty: none."""


@dataclass(frozen=True, slots=True)
class ChartRule:
    """A line across a chart at one value of x."""

    x: float
    """The value."""
    text: str
    """Beside it."""
    dashed: bool = False
    """Whether it is dashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Lines over two axes."""

    kind: ClassVar = "chart"
    title: str
    """The quantity that the lines show."""
    x_label: str
    """Beside the x axis."""
    y_label: str
    """Beside the y axis."""
    lines: tuple[ChartLine, ...]
    """In the order of the legend."""
    rules: tuple[ChartRule, ...] = ()
    """Lines across."""
    x_range: tuple[float, float] | None = None
    """The ends of the x axis; None: those of the lines."""
    y_range: tuple[float, float] | None = None
    """The ends of the y axis; None: those of the lines."""
    is_counted: bool = False
    """Whether x counts something, such as epochs, so that the axis shows whole numbers."""

    width: ClassVar = _WIDTH
    height: ClassVar = _HEIGHT

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the area in which lines are drawn."""
        return _left_of(self.y_ticks), _TOP, _RIGHT, _BOTTOM

    @property
    def x_ends(self) -> tuple[float, float]:
        """Return the ends of the x axis."""
        return self.x_range or _ends([line.x for line in self.lines])

    @property
    def y_ends(self) -> tuple[float, float]:
        """Return the ends of the y axis, at numbers that it shows."""
        if self.y_range:
            return self.y_range
        ticks = nice_ticks(*_ends([line.y for line in self.lines]))
        return ticks[0], ticks[-1]

    @property
    def x_ticks(self) -> list[Tick]:
        """Return the numbers of the x axis."""
        low, high = self.x_ends
        values = [value for value in nice_ticks(low, high) if low <= value <= high]
        if self.is_counted and any(float(value).is_integer() for value in values):
            values = [value for value in values if float(value).is_integer()]
        texts = _texts(values)
        return [Tick(self.place_x(v), text) for v, text in zip(values, texts, strict=True)]

    @property
    def y_ticks(self) -> list[Tick]:
        """Return the numbers of the y axis."""
        low, high = self.y_ends
        values = [value for value in nice_ticks(low, high) if low <= value <= high]
        texts = _texts(values)
        return [Tick(self.place_y(v), text) for v, text in zip(values, texts, strict=True)]

    def place_x(self, value: float) -> float:
        """Return the column of a value of x."""
        (low, high), left = self.x_ends, self.frame[0]
        return round(left + (_RIGHT - left) * (value - low) / (high - low), 1)

    def place_y(self, value: float) -> float:
        """Return the row of a value of y."""
        low, high = self.y_ends
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low), 1)

    def points(self, line: ChartLine) -> list[tuple[float, float]]:
        """Return the points of a line in the chart, without more of them than are seen."""
        x, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if len(known) > _MOST_POINTS:
            known = known[np.linspace(0, len(known) - 1, _MOST_POINTS).round().astype(int)]
        pairs = zip(x[known].tolist(), y[known].tolist(), strict=True)
        return [(self.place_x(a), self.place_y(b)) for a, b in pairs]

    def path(self, line: ChartLine) -> str:
        """Return a line as SVG writes it; empty without points."""
        points = self.points(line)
        return "M" + "L".join(f"{x:g},{y:g}" for x, y in points) if points else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Bars, each of stacked parts."""

    kind: ClassVar = "bars"
    title: str
    """The quantity that is counted."""
    x_label: str
    """Below the bars."""
    y_label: str
    """The meaning of their height."""
    names: tuple[str, ...]
    """Names of the parts, in the legend."""
    styles: tuple[str, ...]
    """Styles of the parts, such as ``right`` and ``missed``."""
    bars: tuple[tuple[str, tuple[float, ...]], ...]
    """The text below each bar, and the heights of its parts from the bottom up."""

    width: ClassVar = _WIDTH
    height: ClassVar = _HEIGHT

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the area in which bars are drawn."""
        return _left_of(self.y_ticks), _TOP, _RIGHT, _BOTTOM

    @property
    def _top(self) -> float:
        return nice_ticks(0.0, max((sum(parts) for _, parts in self.bars), default=0.0) or 1.0)[-1]

    @property
    def y_ticks(self) -> list[Tick]:
        """Return the numbers of the y axis."""
        values = nice_ticks(0.0, self._top)
        return [Tick(self._row(v), t) for v, t in zip(values, _texts(values), strict=True)]

    @property
    def x_ticks(self) -> list[Tick]:
        """Return the texts below the bars."""
        left = self.frame[0]
        step = (_RIGHT - left) / max(len(self.bars), 1)
        return [
            Tick(round(left + step * (index + 0.5), 1), text)
            for index, (text, _) in enumerate(self.bars)
        ]

    def rectangles(self) -> list[tuple[float, float, float, float, str, str]]:
        """Return the left, top, width, height, style and text of each part of each bar."""
        start = self.frame[0]
        step = (_RIGHT - start) / max(len(self.bars), 1)
        found = []
        for index, (text, parts) in enumerate(self.bars):
            below = 0.0
            for name, style, part in zip(self.names, self.styles, parts, strict=True):
                top, bottom = self._row(below + part), self._row(below)
                left = round(start + step * (index + 0.1), 1)
                about = f"{text}: {part:g} {name}"
                found.append((left, top, round(0.8 * step, 1), bottom - top, style, about))
                below += part
        return found

    def _row(self, value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * value / self._top, 1)


def _left_of(ticks: Sequence[Tick]) -> int:
    """Return where the area begins: right of the label of the y axis and of its numbers."""
    longest = max((len(tick.text) for tick in ticks), default=0)
    return max(_LEFT, math.ceil(_BESIDE + _LETTER * longest))


def nice_ticks(low: float, high: float) -> list[float]:
    """Return three to eight round numbers at equal steps that enclose a range.

    Example:
        >>> nice_ticks(0, 1)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        >>> nice_ticks(3, 47)
        [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    """
    low, high = _apart(low, high)
    unit = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(unit * k for k in (1, 2, 5, 10) if (high - low) / (unit * k) <= 5.0001)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def _texts(values: Sequence[float]) -> list[str]:
    """Write the numbers of an axis, small and large ones as powers of ten."""
    largest = max(map(abs, values), default=0.0)
    is_plain = largest == 0 or 1e-3 <= largest < 1e6
    return [f"{value:g}" if is_plain or not value else f"{value:.3g}" for value in values]


def _ends(columns: Sequence[Sequence[float] | Floats]) -> tuple[float, float]:
    """Return the least and the largest finite value; 0 and 1 without any, and never the same."""
    values = np.concatenate([np.zeros(0), *(np.asarray(one, np.float64) for one in columns)])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return _apart(low, high)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Return the ends of a range, moved apart where they are almost the same."""
    largest = max(abs(low), abs(high))
    if high - low > max(_LEAST_SHARE * largest, _LEAST_SPAN):
        return low, high
    margin = 0.5 * largest if largest > _LEAST_SPAN else 0.5
    return low - margin, high + margin
