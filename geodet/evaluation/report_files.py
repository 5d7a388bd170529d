"""Write the files of an evaluation: measures, curves, a report, and errors as map layers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from geodet.evaluation.charts import draw_curves
from geodet.evaluation.confusion import count_confusions
from geodet.evaluation.evaluation_page import (
    EvaluationNotes,
    describe_rule,
    evaluation_sections,
    label_section,
)
from geodet.evaluation.measures import ClassMeasures, Evaluation, JudgedBoxes, judge_images
from geodet.evaluation.threshold_curves import MatchCounts, ThresholdCurve
from geodet.files.output_folders import REPORT_FILE
from geodet.files.outputs import replace_folder
from geodet.files.spreadsheet_text import safe_text
from geodet.geometry.geobox import GeoBox
from geodet.reports.how_made import run_section
from geodet.reports.page_file import write_page
from geodet.vector.error_layers import ErrorBoxes, write_layers

__all__ = ["to_json", "write_evaluation"]

_GRID = [step / 100 for step in range(101)]  # score thresholds of the curves in the JSON file
_BEST = ("threshold", "precision", "recall", "f1")  # of the columns best_...


def write_evaluation(
    output: Path,
    evaluation: Evaluation,
    places: Sequence[tuple[str, GeoBox, float | None]],
    *,
    title: str,
    about: Mapping[str, Any],
    notes: EvaluationNotes | None = None,
) -> None:
    """Write the measures, the curves, ``report.html`` and ``errors.gpkg`` to a folder.

    Args:
        output: Folder that may be written; it appears when it is complete.
        evaluation: The measures.
        places: Name, geobox and metres per pixel of each image.
        title: Title of the curves.
        about: Names of what was compared, for the JSON file.
        notes: What the report shows beside the measures.

    Raises:
        SceneError: An image of which the report shows parts cannot be read.
        OutputError: A file cannot be written.
    """
    measures = evaluation.by_row
    curves = {name: _curve(one.curve) for name, one in measures.items()}
    content = {**about, **to_json(evaluation), "curves": {"threshold": _GRID, **curves}}
    content["reliability"] = {name: _reliability(one) for name, one in measures.items()}
    notes = notes or EvaluationNotes()
    judged = judge_images(evaluation)
    images = [(name, gsd) for name, _, gsd in places]
    gsds, classes = [one.gsd for one in evaluation.results], list(evaluation.by_class)
    confusions = count_confusions(judged, gsds, len(classes), evaluation.rule)
    content["confusion"] = {"classes": classes, "counts": confusions.tolist()}
    with replace_folder(output) as folder:
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
        _write_table(folder / "metrics.csv", measures, run=_name_of_run(about))
        draw_curves(folder / "curves.png", title, measures)
        write_layers(folder / "errors.gpkg", _layers(evaluation, judged, places))
        sections = evaluation_sections(evaluation, judged, confusions, images, notes.openers)
        sections.append(label_section(evaluation, images))
        sections.append(run_section(about, notes.settings, notes.command))
        model = f"{about['model']}: " if about.get("model") else ""
        write_page(folder / REPORT_FILE, f"{model}{title}", describe_rule(evaluation), sections)


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
    return {
        **_counts_to_json(measures.scores),
        "best": _counts_to_json(measures.best),
        **ap,
        "score_error": _known(measures.score_error),
    }


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


def _reliability(measures: ClassMeasures) -> list[dict[str, float | int | None]]:
    return [
        {key: _known(value) for key, value in asdict(one).items()} for one in measures.reliability
    ]


def _name_of_run(about: Mapping[str, Any]) -> str:
    """Return the model or the file that was evaluated."""
    return str(about.get("model") or about.get("detections") or "")


def _write_table(path: Path, measures: Mapping[str, ClassMeasures], *, run: str) -> None:
    rows = []
    for name, one in measures.items():
        plain = _class_to_json(one)
        best = plain.pop("best")
        chosen = {f"best_{key}": best[key] for key in _BEST}
        names = {"run": safe_text(run), "class": safe_text(name)}
        rows.append({**names, **plain, **chosen})
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _layers(
    evaluation: Evaluation,
    judged: Sequence[Mapping[str, JudgedBoxes]],
    places: Sequence[tuple[str, GeoBox, float | None]],
) -> dict[str, list[ErrorBoxes]]:
    layers: dict[str, list[ErrorBoxes]] = {}
    classes = np.array(list(evaluation.by_class), dtype=object)
    for boxes, (name, geobox, _) in zip(judged, places, strict=True):
        for layer, rows in boxes.items():
            fields = _fields(rows, name, classes)
            layers.setdefault(layer, []).append(
                ErrorBoxes(geobox, rows.boxes, fields, rows.oriented)
            )
    return layers


def _fields(rows: JudgedBoxes, image: str, classes: Any) -> dict[str, Any]:
    return {
        "label": classes[rows.labels],
        "score": rows.scores.round(6),
        "iou": rows.iou.round(4),
        "distance_m": rows.distance_m.round(3),
        "image": np.full(len(rows.labels), image, dtype=object),
    }
