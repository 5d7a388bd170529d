"""Write the files of an evaluation: measures as JSON and CSV, curves, and errors as map layers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.evaluation.measures import ClassMeasures, Evaluation, JudgedBoxes, judge_boxes
from geodet.evaluation.threshold_curves import MatchCounts, ThresholdCurve
from geodet.files.outputs import replace_folder
from geodet.geometry.geobox import GeoBox
from geodet.vector.error_layers import PlacedBoxes, write_layers

__all__ = ["draw_curves", "to_json", "write_evaluation"]

_GRID = [step / 100 for step in range(101)]  # score thresholds of the curves in the JSON file
_BEST = ("threshold", "precision", "recall", "f1")  # of the columns best_...
_MOST_ROWS = 13  # of charts
# Colours of Okabe and Ito 2008, "Color Universal Design"; dashes distinguish lines without colour.
_LINES = {"precision": ("#0072B2", "--"), "recall": ("#D55E00", "-."), "F1": ("#009E73", "-")}
_MARK = "#555555"
_POINTS = 2_000  # of a line: more points than pixels are slow to draw and look the same


def write_evaluation(
    output: Path,
    evaluation: Evaluation,
    places: Sequence[tuple[str, GeoBox, float | None]],
    *,
    title: str,
    about: Mapping[str, Any],
) -> None:
    """Write ``metrics.json``, ``metrics.csv``, ``curves.png`` and ``errors.gpkg`` to a folder.

    Args:
        output: Folder that may be written; it appears when it is complete.
        evaluation: The measures.
        places: Name, geobox and metres per pixel of each image.
        title: Title of the curves.
        about: Names of what was compared, for the JSON file.

    Raises:
        OutputError: A file cannot be written.
    """
    measures = {"all": evaluation.overall, **evaluation.by_class}
    curves = {name: _curve(one.curve) for name, one in measures.items()}
    content = {**about, **to_json(evaluation), "curves": {"threshold": _GRID, **curves}}
    with replace_folder(output) as folder:
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
        _write_table(folder / "metrics.csv", measures)
        draw_curves(folder / "curves.png", title, measures)
        write_layers(folder / "errors.gpkg", _layers(evaluation, places))


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Convert the measures to values of JSON; a measure without objects is null."""
    return {
        "match": evaluation.rule.model_dump(mode="json"),
        "gsd": evaluation.gsd,
        "size_bounds_px": evaluation.sides_px and list(evaluation.sides_px),
        "size_bounds_m": _to_metres(evaluation),
        "overall": _class_to_json(evaluation.overall),
        "by_class": {name: _class_to_json(one) for name, one in evaluation.by_class.items()},
        "best": _counts_to_json(evaluation.overall.best),
    }


def _to_metres(evaluation: Evaluation) -> list[float] | None:
    if evaluation.gsd is None or evaluation.sides_px is None:
        return None
    return [round(side * evaluation.gsd, 3) for side in evaluation.sides_px]


def _class_to_json(measures: ClassMeasures) -> dict[str, Any]:
    ap = {name: _known(value) for name, value in asdict(measures.ap).items()}
    return {**_counts_to_json(measures.scores), "best": _counts_to_json(measures.best), **ap}


def _counts_to_json(scores: MatchCounts) -> dict[str, float]:
    shares = {name: getattr(scores, name) for name in ("threshold", "precision", "recall", "f1")}
    counts = {name: getattr(scores, name) for name in ("matched", "detected", "labelled")}
    low, high = scores.f1_interval
    return shares | {"f1_low": low, "f1_high": high} | counts


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _curve(curve: ThresholdCurve) -> dict[str, list[float]]:
    at = [curve.at(threshold) for threshold in _GRID]
    names = ("precision", "recall", "f1")
    return {name: [round(getattr(scores, name), 6) for scores in at] for name in names}


def _write_table(path: Path, measures: Mapping[str, ClassMeasures]) -> None:
    rows = []
    for name, one in measures.items():
        plain = _class_to_json(one)
        best = plain.pop("best")
        rows.append({"class": name, **plain, **{f"best_{key}": best[key] for key in _BEST}})
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _layers(
    evaluation: Evaluation, places: Sequence[tuple[str, GeoBox, float | None]]
) -> dict[str, list[PlacedBoxes]]:
    layers: dict[str, list[PlacedBoxes]] = {}
    classes = np.array(list(evaluation.by_class), dtype=object)
    threshold = evaluation.overall.scores.threshold
    for result, (name, geobox, gsd) in zip(evaluation.results, places, strict=True):
        for layer, rows in judge_boxes(result, gsd, threshold=threshold).items():
            fields = _fields(rows, name, classes)
            layers.setdefault(layer, []).append(PlacedBoxes(geobox, rows.boxes, fields))
    return layers


def _fields(rows: JudgedBoxes, image: str, classes: Any) -> dict[str, Any]:
    return {
        "label": classes[rows.labels],
        "score": rows.scores.round(6),
        "iou": rows.iou.round(4),
        "distance_m": rows.distance_m.round(3),
        "image": np.full(len(rows.labels), image, dtype=object),
    }


def draw_curves(path: Path, title: str, measures: Mapping[str, ClassMeasures]) -> None:
    """Draw for each class the measures against the score threshold, and precision against recall.

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
    chart = Figure(figsize=(10, 0.8 + 3.1 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(chart)
    chart.suptitle(title, fontsize=11)
    axes = chart.subplots(len(rows), 2, squeeze=False)
    for (name, one), (left, right) in zip(rows.items(), axes, strict=True):
        _draw_thresholds(left, name, one)
        _draw_precision_recall(right, name, one)
    axes[0, 0].legend(loc="lower left", fontsize=8, framealpha=0.9)
    chart.savefig(path)


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
        _write_beside(axis, scores.threshold, f"{label} at {scores.threshold:.3g}", dash)
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
        axis.annotate(f"F1 {f1}", (1, f1 / (2 - f1)), fontsize=7, color="#888888", ha="right")
    axis.legend(loc="lower left", fontsize=8, framealpha=0.9)
    _finish(axis, f"{name}: {_describe(measures)}", "recall", "precision")


def _describe(measures: ClassMeasures) -> str:
    if np.isnan(measures.ap.ap):
        return "no AP"
    return f"AP {measures.ap.ap:.3f}, AP50 {measures.ap.ap50:.3f}"


def _finish(axis: Any, title: str, x: str, y: str) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1.12), xlabel=x, ylabel=y)
    axis.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axis.set_title(title, fontsize=10, loc="left")
    axis.grid(color="#eeeeee")
    axis.set_axisbelow(True)


def _thin(count: int) -> NDArray[np.int64]:
    """Return the indices of the points of a curve to draw."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, _POINTS)).astype(np.int64))
