"""Read detections and labels of a whole scene into one frame and one list of classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.config import Config, DataConfig
from geodet.config.section import name_hint
from geodet.errors import ConfigError, VectorError
from geodet.evaluation.evaluated_area import are_in_area
from geodet.evaluation.evaluated_classes import choose_classes, match_classes, renamed_classes
from geodet.evaluation.evaluated_frame import EvaluatedFrame, ground_frame, scene_frame
from geodet.evaluation.evaluated_ground import are_examined, compare_detections
from geodet.evaluation.measures import EvaluatedImage
from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.models.description import ModelDescription
from geodet.tilesets.class_maps import map_names
from geodet.tilesets.label_boxes import point_box_sides
from geodet.tilesets.label_vertices import shapes_in_pixels
from geodet.tilesets.pixel_results import is_pixel_results, read_pixel_results
from geodet.tilesets.scene_labels import (
    SceneLabels,
    ScoredObjects,
    read_scene_labels,
    read_scored_objects,
)
from geodet.tilesets.tile_inputs import LabelledArea
from geodet.vector.extents import LABELS_REMEDY, compare_file_extent

__all__ = ["EvaluatedScene", "read_evaluated_scene"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluatedScene:
    """Detections and labels of a whole scene."""

    image: EvaluatedImage
    """Detections and labels in one frame."""
    classes: tuple[str, ...]
    """Names of the classes."""
    counted_as: Mapping[str, int]
    """Index of the class that each class of the detections counts as; -1: it does not count."""
    geobox: GeoBox
    """Geobox of the frame."""
    has_pixels: bool
    """Whether the frame is in pixels; otherwise it is in metres."""
    has_boxes: bool
    """Whether the boxes have the extent of objects; otherwise some stand for points."""
    scores: Floats
    """(N,) scores of the detections as the file has them, not in float32."""
    not_examined: int
    """Labels that are left out, since they lie where no detection was searched."""


def read_evaluated_scene(
    detections: Path,
    labels: Path,
    config: Config,
    *,
    scene: Path | None,
    score_field: str,
    area: LabelledArea | None = None,
    model: ModelDescription | None = None,
) -> EvaluatedScene:
    """Read detections and labels of the same ground.

    With a scene, the frame is its pixels, and objects outside of the scene do not count. Without
    one, the frame is the detections' projected CRS, or the UTM zone of their centre where that CRS
    is geographic or cylindrical, in pixels of ``data.gsd`` if that is set. Boxes are the bounds of
    each object in that frame; where detections and labels have four corners at an angle, these are
    compared.

    Labels count where the file of detections was examined, as far as it says that.

    Args:
        detections: Vector file with scores, written by detect or by another program. With a scene
            also COCO results or YOLO text of its pixels.
        labels: Vector file with points or polygons.
        config: ``data``, ``match`` and ``tile.label_field``.
        scene: The raster that both belong to.
        score_field: Attribute with the score; empty: every detection has score 1.
        area: The part that was labelled: objects and detections whose centre is elsewhere do not
            count; None: all counts.
        model: The model that found the detections, which must have the classes of the labels; None:
            the classes of the detections are those in the file.

    Raises:
        VectorError: A file cannot be read, one of the two has no CRS, the area is elsewhere, no
            label lies near the detections or where these were searched, or a file is in a CRS and
            the scene has no geotransform to its own.
        ConfigError: The two files have no class in common, or neither has a class to ignore.
        ModelFileError: The labels have a class that the model lacks.
        TilesetError: Points without a box size are to be matched by overlap.
    """
    files = detections, labels
    frame = scene_frame(scene, *files, config) if scene else ground_frame(*files, config)
    crs, name = frame.geobox.crs, config.data.class_name
    found = _read_found(detections, frame, score_field, name)
    truth = read_scene_labels(
        labels,
        crs,
        label_field=config.tile.label_field,
        class_name=name,
        own_crs=config.tile.labels_crs,
    )
    found_boxes, sized = _to_boxes(found.objects, frame, config, detections)
    truth_boxes, truth_sized = _to_boxes(truth, frame, config, labels)
    turned = found.objects.to_oriented(frame.geobox, found_boxes)
    truth_turned = truth.to_oriented(frame.geobox, truth_boxes)
    here = _is_inside(found_boxes, frame, detections)
    if scene:
        here &= _may_be_of(found, scene, crs)
    there = _is_inside(truth_boxes, frame, labels)
    if len(there) and not there.any():
        raise VectorError(
            f"none of the {len(there)} labels in {labels} lies in {frame.scene or 'the frame'}",
            hint=compare_file_extent(labels, frame.geobox, what="labels", remedy=LABELS_REMEDY)
            if scene
            else compare_detections(detections, labels),
            path=labels,
        )
    seen = are_examined(detections, labels, frame, found_boxes, truth_boxes, there)
    inside = are_in_area(area, frame.geobox, found_boxes, truth_boxes, has_extent=scene is not None)
    here, there = here & inside[0], there & inside[1]
    if unseen := int((there & ~seen).sum()):
        logger.warning(
            "%d of %d labels lie outside the examined area of %s and are left out",
            unseen,
            there.sum(),
            detections,
        )
    there &= seen
    numbered = _number_classes(found.objects.names, truth.names, labels, config, model)
    found_labels, truth_labels = numbered.found, numbered.truth
    kept, counted = here & (found_labels >= 0), there & (truth_labels >= 0)
    image = EvaluatedImage(
        name=frame.scene or detections.name,
        detections=Detections(
            found_boxes, found.scores.astype(np.float32), found_labels, turned
        ).select(kept),
        boxes=truth_boxes[counted],
        labels=truth_labels[counted],
        ignored=_to_regions(
            truth.geometries[numbered.ignored], truth_boxes[numbered.ignored], frame
        ),
        gsd=frame.gsd,
        steps=frame.steps,
        oriented=None if truth_turned is None else truth_turned[counted],
    )
    has_pixels = bool(scene or config.data.gsd or crs is None)
    counted_as = dict(zip(found.objects.names, found_labels.tolist(), strict=True))
    has_boxes, scores = sized and truth_sized, found.scores[kept]
    return EvaluatedScene(
        image, numbered.classes, counted_as, frame.geobox, has_pixels, has_boxes, scores, unseen
    )


class _NumberedClasses(NamedTuple):
    """The classes of an evaluation, and those of N detections and M labels; -1: not counted."""

    classes: tuple[str, ...]
    found: Ints
    truth: Ints
    ignored: Bools
    """(M,) labels of classes that are ignored."""


def _number_classes(
    found: Sequence[str],
    truth: Sequence[str],
    labels: Path,
    config: Config,
    model: ModelDescription | None,
) -> _NumberedClasses:
    """Rename the classes by the settings, and number those that the evaluation has."""
    data = config.data
    own = found if model is None else model.classes
    truth = map_names(truth, labels, data, others=own)
    if model is not None:
        labelled = {data.one_class} if data.one_class else {*truth} - {*data.ignore_classes}
        match_classes(model, sorted(labelled), labels, config)
    new_names = renamed_classes(own, config)
    new_name_of = dict(zip(own, new_names, strict=True))
    if truth:
        _check_ignored({*truth, *new_names}, data)
    classes, number_of = choose_classes(new_names, truth, config)
    ignored = np.isin(np.array(truth, object), data.ignore_classes)
    found = [new_name_of[name] for name in found]
    return _NumberedClasses(classes, number_of(found), number_of(truth), ignored)


def _check_ignored(known: set[str], config: DataConfig) -> None:
    for name in config.ignore_classes:
        if name not in known:
            raise ConfigError(
                f"neither the labels nor the detections have a class {name!r} to ignore",
                hint=name_hint(name, sorted(known), "classes"),
                key="data.ignore_classes",
            )


def _read_found(
    path: Path, frame: EvaluatedFrame, score_field: str, class_name: str
) -> ScoredObjects:
    """Read detections in world coordinates, or in the scene's pixels."""
    if frame.scene is None or not is_pixel_results(path):
        return read_scored_objects(
            path, frame.geobox.crs, score_field=score_field, class_name=class_name
        )
    results = read_pixel_results(path, score_field=score_field)
    if not results.are_shares and results.by_image and frame.scene not in results.by_image:
        logger.warning("%s: no detection belongs to %s", path, frame.scene)
    size = (frame.geobox.width, frame.geobox.height)
    return results.of(frame.scene, size).placed(frame.geobox)


def _may_be_of(found: ScoredObjects, scene: Path, crs: CRS | None) -> NDArray[np.bool_]:
    """Whether detections may be of a scene, wherever they lie: (N,).

    With a CRS, the place alone decides: an object that overlapping scenes show is written once,
    under the name of either. Places of what photographs show are only approximate.
    """
    if crs is None:
        return found.is_of(str(scene))
    return ~found.is_approximate


def _to_boxes(
    objects: SceneLabels, frame: EvaluatedFrame, config: Config, path: Path
) -> tuple[Floats, bool]:
    """Return the boxes in the frame, and whether all have an extent or a size that was set."""
    boxes, is_point = objects.to_pixels(frame.geobox), objects.is_point
    if not is_point.any():
        return boxes, True
    data = config.data
    by_centre = config.match.by == "distance" and frame.gsd is not None
    sized = data.box_size_m is not None or data.box_size_px is not None
    if sized or not by_centre:
        instead = "" if frame.gsd is None else "match.by=distance: it compares centres alone"
        half = point_box_sides(data, frame.resolution, path, instead=instead) / 2
    else:  # any size does: only the centres are compared
        half = np.full(2, config.match.distance_m / (frame.gsd or 1.0) / 2)
        logger.warning(
            "%s contains points without a box size: average precision is not computed", path
        )
    boxes[is_point] += np.concatenate([-half, half])
    return boxes, sized


def _to_regions(
    shapes: NDArray[np.object_], boxes: Floats, frame: EvaluatedFrame
) -> NDArray[np.object_]:
    """Return ignored areas in pixels of the frame: polygons, and the boxes of points."""
    known = np.isfinite(boxes).all(axis=1)
    regions = shapes_in_pixels(shapes[known], frame.geobox)
    is_point = shapely.get_dimensions(regions) == 0
    regions[is_point] = shapely.box(*boxes[known][is_point].T)
    return regions


def _is_inside(boxes: Floats, frame: EvaluatedFrame, path: Path) -> NDArray[np.bool_]:
    """Whether each centre lies in the scene, or without one, exists in the frame's CRS: (N,)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = np.asarray(np.isfinite(boxes).all(axis=1), np.bool_)
    if frame.scene:
        size = np.array([frame.geobox.width, frame.geobox.height])
        inside &= np.all((centres >= 0) & (centres <= size), axis=1)
    if not inside.all():
        outside = len(inside) - int(inside.sum())
        logger.warning(
            "%d of %d objects in %s lie outside the scene and do not count",
            outside,
            len(inside),
            path,
        )
    return inside
