"""What evaluate leaves behind: figures for programs, a table, curves, and the errors on a map."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from geodet.error_layers import PlacedBoxes, write_layers
from geodet.evaluation.charts import draw_curves
from geodet.evaluation.measures import ErrorRows, Evaluation, Figures, find_errors
from geodet.evaluation.metrics import Curve, Scores
from geodet.folders import check_output_folder, replace_folder
from geodet.geobox import GeoBox

__all__ = ["FILES", "check_evaluation_folder", "to_plain", "write_evaluation"]

FILES = ("metrics.json", "metrics.csv", "curves.png", "errors.gpkg")
_GRID = [step / 100 for step in range(101)]  # thresholds of the curves in the JSON file


def check_evaluation_folder(output: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Check that an evaluation can be written to a folder, before the work that it takes.

    Raises:
        OutputError: The folder holds something that may not be replaced.
    """
    check_output_folder(output, FILES, overwrite=overwrite, inputs=inputs)


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
        output: Checked by :func:`check_evaluation_folder`; appears when it is complete.
        evaluation: The measures.
        places: Name, geobox and metres per pixel of each image.
        title: Of the chart.
        about: What was compared, for the JSON file.

    Raises:
        OutputError: A file cannot be written.
    """
    figures = {"all": evaluation.overall, **evaluation.by_class}
    curves = {name: _curve(one.curve) for name, one in figures.items()}
    content = {**about, **to_plain(evaluation), "curves": {"threshold": _GRID, **curves}}
    with replace_folder(output) as folder:
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
        _write_table(folder / "metrics.csv", figures)
        draw_curves(folder / "curves.png", title, figures)
        write_layers(folder / "errors.gpkg", _layers(evaluation, places))


def to_plain(evaluation: Evaluation) -> dict[str, Any]:
    """Give the measures as JSON has them; null is a measure without a label to measure it on."""
    return {
        "match": evaluation.rule.model_dump(mode="json"),
        "gsd": evaluation.gsd,
        "size_bounds_px": evaluation.sides_px and list(evaluation.sides_px),
        "size_bounds_m": _to_metres(evaluation),
        "overall": _plain_figures(evaluation.overall),
        "by_class": {name: _plain_figures(one) for name, one in evaluation.by_class.items()},
        "best": _plain_scores(evaluation.overall.best),
    }


def _to_metres(evaluation: Evaluation) -> list[float] | None:
    if evaluation.gsd is None or evaluation.sides_px is None:
        return None
    return [round(side * evaluation.gsd, 3) for side in evaluation.sides_px]


def _plain_figures(figures: Figures) -> dict[str, Any]:
    ap = {name: _known(value) for name, value in asdict(figures.ap).items()}
    return {**_plain_scores(figures.scores), "best": _plain_scores(figures.best), **ap}


def _plain_scores(scores: Scores) -> dict[str, float]:
    shares = {name: getattr(scores, name) for name in ("threshold", "precision", "recall", "f1")}
    return shares | {name: getattr(scores, name) for name in ("matched", "detected", "labelled")}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _curve(curve: Curve) -> dict[str, list[float]]:
    at = [curve.at(threshold) for threshold in _GRID]
    names = ("precision", "recall", "f1")
    return {name: [round(getattr(scores, name), 6) for scores in at] for name in names}


def _write_table(path: Path, figures: Mapping[str, Figures]) -> None:
    rows = []
    for name, one in figures.items():
        plain = _plain_figures(one)
        best = plain.pop("best")
        rows.append({"class": name, **plain, **{f"best_{key}": best[key] for key in _BEST}})
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


_BEST = ("threshold", "precision", "recall", "f1")


def _layers(
    evaluation: Evaluation, places: Sequence[tuple[str, GeoBox, float | None]]
) -> dict[str, list[PlacedBoxes]]:
    layers: dict[str, list[PlacedBoxes]] = {}
    classes = np.array(list(evaluation.by_class), dtype=object)
    threshold = evaluation.overall.scores.threshold
    for result, (name, geobox, gsd) in zip(evaluation.results, places, strict=True):
        for layer, rows in find_errors(result, gsd, threshold=threshold).items():
            fields = _fields(rows, name, classes)
            layers.setdefault(layer, []).append(PlacedBoxes(geobox, rows.boxes, fields))
    return layers


def _fields(rows: ErrorRows, image: str, classes: Any) -> dict[str, Any]:
    return {
        "label": classes[rows.labels],
        "score": rows.scores.round(6),
        "iou": rows.iou.round(4),
        "distance_m": rows.distance_m.round(3),
        "image": np.full(len(rows.labels), image, dtype=object),
    }
