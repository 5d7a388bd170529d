"""Limit the labels of an evaluation to the ground on which the detections were searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from geodet.errors import VectorError
from geodet.evaluation.evaluated_frame import EvaluatedFrame
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.pixel_results import is_pixel_results
from geodet.vector.examined_ground import find_examined_ground
from geodet.vector.extents import compare_file_extent
from geodet.vector.vector_files import read_extent

__all__ = ["are_examined", "compare_detections"]

_FAR = 1_000.0  # metres between all labels and all detections, from which on no two can be one
_COARSE = 1000  # pixels along the extent of the detections


def are_examined(
    detections: Path,
    labels: Path,
    frame: EvaluatedFrame,
    found: Floats,
    truth: Floats,
    there: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether the centres of labels lie where detections were searched.

    Args:
        detections: Their file.
        labels: Labels of the boxes.
        frame: Frame of the boxes.
        found: (N, 4) boxes of the detections.
        truth: (M, 4) boxes of the labels.
        there: (M,) the labels that lie in the frame.

    Returns:
        (M,); all are where the file does not say where it was searched.

    Raises:
        VectorError: None of the labels in the frame was searched, or where that is not known, all
            are far from all detections.
    """
    ground = None if is_pixel_results(detections) else find_examined_ground(detections)
    if ground is None:
        _check_near(detections, labels, frame, found, truth[there])
        return np.ones(len(truth), np.bool_)
    centres = frame.geobox.to_world((truth[:, :2] + truth[:, 2:]) / 2)
    seen = ground.has_examined(np.where(there[:, None], centres, np.nan), frame.geobox.crs)
    if there.any() and not seen.any():
        raise ground.apart_error(labels, "labels")
    return seen


def compare_detections(detections: Path, labels: Path) -> str:
    """Describe where labels and detections lie, and why they may not meet."""
    crs, bounds = read_extent(detections)
    if not np.isfinite(bounds).all():
        return "check the CRS of both files"
    x1, y1, x2, y2 = bounds.tolist()
    step = max(x2 - x1, y2 - y1, 1e-6) / _COARSE
    width, height = (max(round(side / step), 1) for side in (x2 - x1, y2 - y1))
    geobox = GeoBox(width, height, Affine(step, 0, x1, 0, -step, y2), crs)
    return compare_file_extent(labels, geobox, what="labels", raster="the detections")


def _check_near(
    detections: Path, labels: Path, frame: EvaluatedFrame, found: Floats, truth: Floats
) -> None:
    """Refuse files of different places, of which every label would be a miss."""
    found = found[np.isfinite(found).all(axis=1)]
    if frame.scene or frame.gsd is None or not len(found) or not len(truth):
        return
    below = found[:, :2].min(axis=0) - truth[:, 2:].max(axis=0)
    above = truth[:, :2].min(axis=0) - found[:, 2:].max(axis=0)
    if np.maximum(below, above).max() * frame.gsd > _FAR:
        raise VectorError(
            f"no label in {labels} lies within {_FAR / 1000:g} km of a detection in {detections}",
            hint=compare_detections(detections, labels),
            path=labels,
        )
