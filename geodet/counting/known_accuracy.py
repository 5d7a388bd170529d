"""The accuracy of detections: known to the user, from sample plots, or from their file."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import shapely

from geodet.counting.examined_parts import find_examined_parts
from geodet.counting.found_objects import FoundObjects, read_found_objects
from geodet.counting.intervals import Accuracy, Estimator, PlotRatio
from geodet.counting.polygon_counts import Polygons, count_in_polygons, read_polygons
from geodet.errors import ConfigError
from geodet.geopackage.layer_metadata import MODEL_DIGEST
from geodet.vector.examined_ground import ExaminedGround
from geodet.vector.provenance import ACCURACY, THRESHOLDS, read_provenance

__all__ = ["KnownAccuracy", "choose_estimator"]

logger = logging.getLogger(__name__)

_OF_A_RUN = (ACCURACY, MODEL_DIGEST, THRESHOLDS)
"""Metadata that give an accuracy its meaning; those of a second run have a 2 after them."""


@dataclass(frozen=True, slots=True)
class KnownAccuracy:
    """The accuracy of the detections, as known to the user."""

    precision: float | None = None
    """Share of the detections that are right; None: as in the file."""
    recall: float | None = None
    """Share of the objects that are found; None: as in the file."""
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
        if self.objects and self.precision is None:
            raise ConfigError(
                "the number of labelled objects is given without the precision and recall measured "
                "on them",
                hint="with --measured-on give --precision and --recall",
            )
        if self.precision is not None and self.sample is not None:
            raise ConfigError(
                "both an accuracy and a sample are given",
                hint="give --precision and --recall, or --sample and --aoi",
            )
        if (self.sample is None) != (self.plots is None):
            raise ConfigError(
                "a sample and its plots go together",
                hint="give --sample, the labelled objects, and --aoi, the plots they lie in",
            )


def choose_estimator(
    known: KnownAccuracy,
    found: FoundObjects,
    min_score: float,
    ground: ExaminedGround | None = None,
) -> Estimator | None:
    """Return the estimator for a known accuracy, or else for that in the file of detections.

    Args:
        known: The accuracy that the user gave.
        found: The detections.
        min_score: The lowest score of those that count.
        ground: Where they were searched; None: everywhere, as far as is known.

    Returns:
        None where it is not known; a warning is logged then.

    Raises:
        ConfigError: The shares or the plots cannot be used.
        VectorError: The sample or the plots cannot be read, or no plot was examined.
    """
    if known.sample is not None and known.plots is not None:
        return _ratio_of_plots(known.sample, known.plots, found, ground)
    if known.precision is not None and known.recall is not None:
        return Accuracy(known.precision, known.recall, known.objects)
    return _stored_accuracy(found.path, min_score)


def _ratio_of_plots(
    sample: Path, plots: Path, found: FoundObjects, ground: ExaminedGround | None
) -> PlotRatio:
    areas = _read_plots(plots)
    if ground is not None:
        areas = _cut_to_examined(areas, ground)
    # Of any class: an attribute may name each tree.
    labels = read_found_objects(sample, label_field="")
    labelled = count_in_polygons(labels, areas).rows["objects"]
    detected = count_in_polygons(found, areas).rows["objects"]
    return PlotRatio(labelled.to_numpy(), detected.to_numpy())


def _read_plots(path: Path) -> Polygons:
    """Read the plots that have a place: a row without one was not sampled."""
    plots = read_polygons(path).without_attributes()
    there = ~(shapely.is_missing(plots.shapes) | shapely.is_empty(plots.shapes))
    if there.all():
        return plots
    logger.warning("%s: %d plots have no geometry and are left out", path, (~there).sum())
    return plots.select(there)


def _cut_to_examined(plots: Polygons, ground: ExaminedGround) -> Polygons:
    """Leave out plots that were not examined, where every labelled object would be a miss.

    Of the others the examined part is kept: the ratio needs no plots of one size.
    """
    examined = find_examined_parts(plots.shapes, plots.crs, ground)
    if not examined.is_any:
        raise ground.apart_error(plots.path, "plots")
    if gaps := examined.describe_gaps("plot"):
        logger.warning("%s: %s; only what was examined counts", plots.path, gaps)
    return replace(plots, shapes=examined.shapes).select(~examined.is_unseen)


def _stored_accuracy(path: Path, min_score: float) -> Accuracy | None:
    """Return the accuracy at the threshold in use, as the metadata of the detections say it."""
    hint = (
        "to get an interval of the true count, give --precision and --recall, or --sample and --aoi"
    )
    about = read_provenance(path)
    text = about.get(ACCURACY, "")
    if different := sorted(one for one in _OF_A_RUN if f"{one} 2" in about):  # by appending
        said = " and ".join(different)
        logger.warning(
            "%s: its runs differ in %s, so its accuracy is unknown; %s", path, said, hint
        )
        return None
    try:
        stored = json.loads(text) if text else {}
        if stored and min_score <= float(stored["score_threshold"]):
            return Accuracy(
                float(stored["precision"]), float(stored["recall"]), int(stored["objects"])
            )
    except (ValueError, KeyError, TypeError):
        stored = {}
    reason = (
        f"its accuracy is only known for the score threshold {stored['score_threshold']}, not for "
        f"{min_score}"
        if stored
        else "it does not record its accuracy"
    )
    logger.warning("%s: %s; %s", path, reason, hint)
    return None
