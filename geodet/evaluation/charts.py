"""Charts of an evaluation: measures by threshold, precision by recall, reliability of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.evaluation.chosen_threshold import show_threshold
from geodet.evaluation.measures import ClassMeasures

__all__ = ["draw_curves"]

_MOST_ROWS = 13  # of charts
# Colours of Okabe and Ito 2008, "Color Universal Design"; dashes distinguish lines without colour.
_LINES = {"precision": ("#0072B2", "--"), "recall": ("#D55E00", "-."), "F1": ("#009E73", "-")}
_MARK = "#555555"
_POINTS = 2_000  # of a line: more points than pixels are slow to draw and look the same


def draw_curves(path: Path, title: str, measures: Mapping[str, ClassMeasures]) -> None:
    """Draw for each class the measures by threshold, precision by recall, and reliability.

    At most 13 rows are drawn: all classes together, and the classes with the most objects.

    Args:
        path: Ends in ``.png``.
        title: Title of the picture.
        measures: By class, with all classes together first.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _choose_rows(measures)
    chart = Figure(figsize=(14, 0.8 + 3.1 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(chart)
    chart.suptitle(title, fontsize=11, parse_math=False)
    axes = chart.subplots(len(rows), 3, squeeze=False)
    for (name, one), (left, middle, right) in zip(rows.items(), axes, strict=True):
        _draw_thresholds(left, name, one)
        _draw_precision_recall(middle, name, one)
        _draw_reliability(right, name, one)
    _add_legend(chart, axes[0])
    chart.savefig(path)


def _add_legend(chart: Any, axes: Any) -> None:
    """Add one legend for all rows, below them, where it hides no curve."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    chart.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=8, fontsize=9
    )


def _choose_rows(measures: Mapping[str, ClassMeasures]) -> dict[str, ClassMeasures]:
    names = sorted(list(measures)[1:], key=lambda name: -measures[name].curve.labelled)
    kept = {*list(measures)[:1], *names[: _MOST_ROWS - 1]}
    rows = {name: one for name, one in measures.items() if name in kept}
    # A single class has the measures of all classes together.
    return dict(list(rows.items())[1:]) if len(measures) == 2 else rows


def _draw_thresholds(axis: Any, name: str, measures: ClassMeasures) -> None:
    curve = measures.curve
    shown = _thin(len(curve.thresholds))
    values = {"precision": curve.precision, "recall": curve.recall, "F1": curve.f1}
    for label, (colour, dash) in _LINES.items():
        # A detection counts at thresholds up to its score, so the steps extend to the left.
        points = curve.thresholds[shown], values[label][shown]
        axis.plot(*points, dash, color=colour, label=label, drawstyle="steps-post", linewidth=1.8)
    for scores, dash, label in (
        (measures.scores, "-", f"chosen, F1 {measures.scores.f1:.3f}"),
        (measures.best, ":", f"best here, F1 {measures.best.f1:.3f}"),
    ):
        axis.axvline(scores.threshold, linestyle=dash, color=_MARK, linewidth=1.2)
        _write_beside(
            axis, scores.threshold, f"{label} at {show_threshold(scores.threshold)}", dash
        )
    _finish(axis, f"{name}: {curve.labelled} objects", "score threshold", "share")


def _write_beside(axis: Any, x: float, text: str, dash: str) -> None:
    """Label a vertical line on the side with more room, the solid and the dashed one apart."""
    side = "right" if x > 0.5 else "left"
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    place = {"ha": side, "va": "bottom", "fontsize": 8, "color": _MARK, "bbox": paper}
    axis.text(x, 1.01 if dash == "-" else 1.06, text, **place)


def _draw_precision_recall(axis: Any, name: str, measures: ClassMeasures) -> None:
    curve = measures.curve
    shown = _thin(len(curve.thresholds))
    colour = _LINES["F1"][0]
    axis.plot(curve.recall[shown], curve.precision[shown], color=colour, linewidth=1.8)
    for scores, marker, label in (
        (measures.scores, "o", "chosen"),
        (measures.best, "D", "best here"),
    ):
        axis.plot(scores.recall, scores.precision, marker, color=_MARK, markersize=5, label=label)
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / (2 - f1), 1, 60)
        axis.plot(recall, f1 * recall / (2 * recall - f1), color="#cccccc", linewidth=0.8, zorder=0)
        beside = {"ha": "left", "va": "center", "annotation_clip": False}
        axis.annotate(f" F1 {f1}", (1, f1 / (2 - f1)), fontsize=7, color="#888888", **beside)
    _finish(axis, f"{name}: {_describe(measures)}", "recall", "precision")


def _draw_reliability(axis: Any, name: str, measures: ClassMeasures) -> None:
    """Draw the share of right detections against the score; circles as large as the bins."""
    bins = [one for one in measures.reliability if one.count]
    axis.plot([0, 1], [0, 1], ":", color=_MARK, linewidth=1.2, label="calibrated")
    if bins:
        score, precision = [one.score for one in bins], [one.precision for one in bins]
        axis.plot(score, precision, color=_LINES["precision"][0], linewidth=1.8)
        most = max(one.count for one in bins)
        sizes = [8 + 60 * one.count / most for one in bins]
        axis.scatter(score, precision, s=sizes, color=_LINES["precision"][0])
    error = "" if math.isnan(measures.score_error) else f", error {measures.score_error:.3f}"
    _finish(axis, f"{name}: reliability{error}", "score", "share that is right")


def _describe(measures: ClassMeasures) -> str:
    if np.isnan(measures.ap.ap):
        return "no AP"
    return f"AP {measures.ap.ap:.3f}, AP50 {measures.ap.ap50:.3f}"


def _finish(axis: Any, title: str, x: str, y: str) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1.12), xlabel=x, ylabel=y)
    axis.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axis.set_title(title, fontsize=10, loc="left", parse_math=False)  # $ is no formula
    axis.grid(color="#eeeeee")
    axis.set_axisbelow(True)


def _thin(count: int) -> NDArray[np.int64]:
    """Return the indices of the points of a curve to draw."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, _POINTS)).astype(np.int64))
