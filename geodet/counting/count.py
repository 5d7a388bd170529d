"""Count detections by polygons or by cells of a grid."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.counting.found_objects import FoundObjects, read_found_objects
from geodet.counting.intervals import Accuracy, Estimator, PlotRatio
from geodet.counting.polygon_counts import (
    CountedPolygons,
    Polygons,
    count_in_polygons,
    read_polygons,
)
from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination
from geodet.vector.attribute_tables import write_polygon_table
from geodet.vector.formats import TABLE_SUFFIXES, path_of
from geodet.vector.provenance import ACCURACY, read_provenance

__all__ = ["CountReport", "KnownAccuracy", "count_objects"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownAccuracy:
    """What the user knows of how good the detections are."""

    precision: float | None = None
    """Share of the detections that are right; None: what the file says."""
    recall: float | None = None
    """Share of the objects that are found; None: what the file says."""
    objects: int = 0
    """Labelled objects on which the two were measured; 0: they are taken as exact."""
    sample: Path | None = None
    """A vector file of all objects in some plots; None: there is none."""
    plots: Path | None = None
    """The plots, polygons."""

    def __post_init__(self) -> None:
        if (self.precision is None) != (self.recall is None):
            raise ConfigError(
                "precision and recall go together", hint="give both, such as 0.76 and 0.74"
            )
        if (self.sample is None) != (self.plots is None):
            raise ConfigError(
                "a sample needs its plots, and the plots their sample",
                hint="give --sample, the labelled objects, and --aoi, the plots they lie in",
            )


@dataclass(frozen=True, slots=True)
class CountReport:
    """The result of a count.

    Example:
        >>> total = {"objects": 3, "estimate": 4.1}
        >>> CountReport(None, 2, 3, 1, total, "").total["objects"]
        3
    """

    output: Path | None
    """The file; None: none was asked for."""
    polygons: int
    """Polygons that were counted in."""
    objects: int
    """Objects in any of them."""
    elsewhere: int
    """Objects in none."""
    total: dict[str, Any]
    """The figures of all polygons together; those that are unknown are missing."""
    estimated_by: str
    """How the true count is estimated, in words; empty where it is not."""


def count_objects(
    detections: Path,
    by: Path,
    output: Path | None = None,
    *,
    field: str | None = None,
    min_score: float = 0.0,
    score_field: str | None = None,
    label_field: str | None = None,
    known: KnownAccuracy | None = None,
    overwrite: bool = False,
) -> CountReport:
    """Count the objects of a file by polygons, and estimate how many there really are.

    Args:
        detections: A vector file, written by detect or by another program.
        by: Polygons in any format and CRS; they may overlap.
        output: The table to write; None: only the report.
        field: The only attribute of the polygons to keep; None: all.
        min_score: Lowest score that counts.
        score_field: Attribute with the score; None: ``score``, if there is one.
        label_field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any.
        known: How good the detections are; None: what their file says.
        overwrite: Replace a file that exists.

    Raises:
        VectorError: A file cannot be read, or one of them has no CRS.
        ConfigError: What is known cannot be used.
        OutputError: The output exists, or cannot be written.
    """
    known = known or KnownAccuracy()
    inputs = [detections, by, *filter(None, (known.sample, known.plots))]
    if output is not None:
        check_apart([output], [Path(path_of(path)) for path in inputs])
        check_destination(output, TABLE_SUFFIXES, overwrite=overwrite)
    polygons = read_polygons(by, field)
    found = read_found_objects(
        detections, min_score=min_score, score_field=score_field, label_field=label_field
    )
    estimator = _choose_estimator(known, found, min_score)
    counted = count_in_polygons(found, polygons, estimator)
    if output is not None:
        _write(output, polygons, counted)
    return _report(output, polygons, counted, estimator)


def _write(output: Path, polygons: Polygons, counted: CountedPolygons) -> None:
    shapes, crs = polygons.shapes, polygons.crs
    write_polygon_table(output, "counts", counted.rows, shapes, crs, counted.total)


def _report(
    output: Path | None,
    polygons: Polygons,
    counted: CountedPolygons,
    estimator: Estimator | None,
) -> CountReport:
    total = counted.total.iloc[0].dropna().to_dict()
    whole = {name: int(total[name]) for name in total if name.split("_")[0] == "objects"}
    how = "" if estimator is None else estimator.describe()
    return CountReport(
        output,
        len(polygons.shapes),
        whole["objects"],
        counted.elsewhere,
        {**total, **whole},
        how,
    )


def _choose_estimator(
    known: KnownAccuracy, found: FoundObjects, min_score: float
) -> Estimator | None:
    """Return what the user knows, or else what the file of detections says."""
    if known.sample is not None and known.plots is not None:
        return _ratio_of_plots(known.sample, known.plots, found)
    if known.precision is not None and known.recall is not None:
        return Accuracy(known.precision, known.recall, known.objects)
    return _stored_accuracy(found.path, min_score)


def _ratio_of_plots(sample: Path, plots: Path, found: FoundObjects) -> PlotRatio:
    areas = read_polygons(plots).without_attributes()
    labelled = count_in_polygons(read_found_objects(sample), areas).rows["objects"]
    detected = count_in_polygons(found, areas).rows["objects"]
    return PlotRatio(labelled.to_numpy(), detected.to_numpy())


def _stored_accuracy(path: Path, min_score: float) -> Accuracy | None:
    """Return the accuracy at the threshold in use, as the metadata of the detections say it."""
    hint = "--precision and --recall, or --sample and --aoi, give an interval of the true count"
    text = read_provenance(path).get(ACCURACY, "")
    try:
        stored = json.loads(text) if text else {}
        if stored and min_score <= float(stored["score_threshold"]):
            return Accuracy(
                float(stored["precision"]), float(stored["recall"]), int(stored["objects"])
            )
    except (ValueError, KeyError, TypeError):
        stored = {}
    reason = (
        f"its accuracy is known at the score {stored['score_threshold']}, not at {min_score}"
        if stored
        else "it does not say how accurate it is"
    )
    logger.warning("%s: %s; %s", path, reason, hint)
    return None
