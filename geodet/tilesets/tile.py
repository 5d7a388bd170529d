"""Cut labelled chips from a scene: the tool behind ``geodet tile``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geodet.config import DataConfig, TileConfig
from geodet.errors import TilesetError
from geodet.files.output_folders import check_new_tileset
from geodet.files.outputs import replace_folder
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.chip_files import ChipCopier
from geodet.tilesets.chip_plan import ChipPlan, plan_chips
from geodet.tilesets.coco import write_tileset
from geodet.tilesets.label_boxes import point_box_side
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.scene_labels import SceneLabels, read_scene_labels
from geodet.tilesets.splits import Split

__all__ = ["TileReport", "tile_scene"]

Progress = Callable[[int, int], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TileReport:
    """Numbers of chips and skipped windows, which add up to the windows of the scene.

    Example:
        >>> report = geodet.tile(scene, labels, folder / "tiles", chip_size=128)
        >>> report.classes
        ('tree',)
    """

    classes: tuple[str, ...]
    """Names of the classes."""
    train: int
    """Training chips."""
    val: int
    """Validation chips."""
    objects_kept: int
    """Objects that are a label in at least one chip."""
    objects_dropped: int
    """Other objects: outside of the scene, without a valid pixel, or too little visible."""
    skipped_empty: int
    """Windows without objects beyond ``tile.empty_share``."""
    skipped_invalid: int
    """Windows without a valid pixel."""
    skipped_overlap: int
    """Training windows that share pixels with a validation window."""


@dataclass(frozen=True, slots=True)
class _Objects:
    """Labelled objects in the pixels of the scene."""

    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2; of zero area for an object outside of the scene."""
    labels: NDArray[np.int64]
    """(N,) index of the class."""
    is_point: NDArray[np.bool_]
    """(N,) True where the box stands around a labelled point."""
    classes: tuple[str, ...]
    """Names of the classes, sorted."""


@dataclass(frozen=True, slots=True)
class _ChipFile:
    """A chip on disk."""

    window: int
    """Index of its window."""
    path: Path
    """The GeoTIFF."""
    split: Split
    """Part of the split."""


def tile_scene(
    scene: Path,
    labels: Path,
    output: Path,
    config: TileConfig,
    data: DataConfig,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TileReport:
    """Cut labelled chips for training from a scene.

    The chips are GeoTIFFs with the bands, dtype, nodata value and CRS of the scene. If a chip shows
    too little of an object to keep it (``tile.min_visible``), the object is an ignored region
    there, which is neither object nor background.

    Law: no training chip shares a pixel with a validation chip.

    Args:
        scene: The raster.
        labels: Points or polygons in any vector file that GDAL reads, in any CRS.
        output: Folder of the tileset; appears when it is complete.
        config: Chip size, blocks and shares.
        data: Sides of boxes around points, and the GSD of a scene without a georeference.
        overwrite: Replace an existing tileset.
        progress: Called with the number of chips written and to write.

    Raises:
        SceneError: The scene cannot be read.
        VectorError: The labels cannot be read.
        TilesetError: No label is in the scene, or no split is possible.
        OutputError: The folder exists or cannot be written.
    """
    check_new_tileset(output, overwrite=overwrite, inputs=(scene, labels))
    with ChipCopier(scene) as copier:
        geobox = copier.geobox
        objects = _read_objects(scene, labels, geobox, config, data)
        plan = plan_chips((geobox.width, geobox.height), objects.boxes, objects.is_point, config)
        with replace_folder(output) as folder:
            stem = folder / "images" / scene.stem
            chips, invalid = _copy_chips(copier, plan, stem, config.empty_share, progress)
            gsd = geobox.gsd or data.gsd
            images = tuple(_label_chip(chip, plan, objects, gsd) for chip in chips)
            write_tileset(Tileset(folder, objects.classes, images))
    return _report(plan, chips, objects, invalid)


def _read_objects(
    scene: Path, labels: Path, geobox: GeoBox, config: TileConfig, data: DataConfig
) -> _Objects:
    """Read the labels as boxes in the scene's pixels."""
    found = read_scene_labels(
        labels, geobox.crs, label_field=config.label_field, class_name=data.class_name
    )
    boxes, is_point = found.to_pixels(geobox), found.is_point
    # Not finite: coordinates that do not exist in the scene's CRS.
    inside = np.isfinite(boxes).all(axis=1)
    bounds = np.array([geobox.width, geobox.height])
    inside &= np.all((boxes[:, 2:] >= 0) & (boxes[:, :2] <= bounds), axis=1)
    if not inside.any():
        raise TilesetError(
            f"none of the {len(found)} labels in {labels} lies in {scene}",
            hint=_describe_extents(found, geobox),
            path=labels,
        )
    if not inside.all():
        outside = len(found) - int(inside.sum())
        logger.warning("%d of %d labels lie outside of %s", outside, len(found), scene)
    boxes[~inside] = 0.0  # without area, so that no window shows them
    if is_point.any():
        half = point_box_side(data, geobox.gsd or data.gsd, labels) / 2
        boxes[is_point & inside] += np.array([-half, -half, half, half])
    classes, numbers = np.unique(found.names, return_inverse=True)
    return _Objects(boxes, numbers.astype(np.int64), is_point, tuple(classes.tolist()))


def _describe_extents(found: SceneLabels, geobox: GeoBox) -> str:
    """Return a hint with the extents of the scene and of the labels."""
    if not len(found):
        return "the file contains no labels"
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * [geobox.width, geobox.height]
    world = geobox.to_world(corners.astype(np.float64))
    extents = (*world.min(axis=0), *world.max(axis=0)), shapely.total_bounds(found.geometries)
    scene, labels = (" ".join(f"{value:.9g}" for value in extent) for extent in extents)
    return (
        f"check the CRS of both: in that of the scene, the scene covers {scene} and the labels"
        f" {labels}"
    )


def _copy_chips(
    copier: ChipCopier, plan: ChipPlan, stem: Path, empty_share: float, progress: Progress | None
) -> tuple[list[_ChipFile], int]:
    """Write the windows with objects, and for each part of the split a share of empty ones.

    Returns:
        The chips, and the number of windows without a valid pixel that were read.
    """
    stem.parent.mkdir()
    total = sum(len(full) + round(empty_share * len(full)) for full in plan.full.values())
    chips: list[_ChipFile] = []
    invalid: list[int] = []
    for split, full in plan.full.items():
        before = len(chips)
        for windows in (full, plan.empty[split]):
            limit = len(full) if windows is full else round(empty_share * (len(chips) - before))
            for index, path in islice(_iter_copied(copier, plan, windows, stem, invalid), limit):
                chips.append(_ChipFile(index, path, split))
                if progress:
                    progress(len(chips), total)
    if progress:
        progress(len(chips), len(chips))
    return chips, len(invalid)


def _iter_copied(
    copier: ChipCopier, plan: ChipPlan, windows: Sequence[int], stem: Path, invalid: list[int]
) -> Iterator[tuple[int, Path]]:
    """Write windows one by one; append those without a valid pixel to ``invalid``."""
    for index in windows:
        window = plan.windows[index]
        path = stem.with_name(f"{stem.name}_r{window.row_off}_c{window.col_off}.tif")
        if copier.copy(window, path):
            yield index, path
        else:
            invalid.append(index)


def _label_chip(
    chip: _ChipFile, plan: ChipPlan, objects: _Objects, gsd: float | None
) -> LabelledImage:
    """Return a chip with the objects that it shows, in its pixels."""
    window = plan.windows[chip.window]
    rows = plan.visible.of(chip.window)
    shown, kept = plan.visible.object[rows], plan.visible.kept[rows]
    boxes = objects.boxes[shown] - np.array([window.col_off, window.row_off] * 2)
    clipped = np.clip(boxes, 0, [window.width, window.height] * 2)
    # The centre of a box around a point must stay the point.
    whole = np.where(objects.is_point[shown, None], boxes, clipped)
    return LabelledImage(
        path=chip.path,
        width=window.width,
        height=window.height,
        boxes=whole[kept],
        labels=objects.labels[shown[kept]],
        ignored=clipped[~kept],
        place=plan.blocks[chip.window],
        split=chip.split,
        gsd=gsd,
    )


def _report(
    plan: ChipPlan, chips: Sequence[_ChipFile], objects: _Objects, invalid: int
) -> TileReport:
    visible = plan.visible
    written = np.isin(visible.window, [chip.window for chip in chips])
    kept = len(np.unique(visible.object[written & visible.kept]))
    train = sum(chip.split == "train" for chip in chips)
    return TileReport(
        classes=objects.classes,
        train=train,
        val=len(chips) - train,
        objects_kept=kept,
        objects_dropped=len(objects.boxes) - kept,
        skipped_empty=len(plan.windows) - len(chips) - invalid - plan.overlapping,
        skipped_invalid=invalid,
        skipped_overlap=plan.overlapping,
    )
