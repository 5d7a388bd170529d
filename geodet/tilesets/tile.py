"""Cut labelled chips from scenes: the tool behind ``geodet tile``."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from geodet.config import DataConfig, TileConfig
from geodet.files.closable import Closing
from geodet.files.output_folders import check_new_tileset
from geodet.files.outputs import replace_folder
from geodet.geometry.arrays import Floats
from geodet.geometry.oriented_boxes import cut_oriented
from geodet.geometry.windows import Window
from geodet.raster.scene_lists import list_scenes
from geodet.tilesets.chip_files import ChipCopier
from geodet.tilesets.chip_plan import ChipPlan, plan_chips
from geodet.tilesets.coco import write_tileset
from geodet.tilesets.labelled_scene import outside_boxes
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.splits import Split
from geodet.tilesets.tile_inputs import LabelledArea, TileInputs, read_tile_inputs

__all__ = ["LabelledArea", "TileReport", "tile_scene"]

_Progress = Callable[[int, int], None]

logger = logging.getLogger(__name__)

_OPEN_SCENES = 8  # at a time


@dataclass(frozen=True, slots=True)
class TileReport:
    """Numbers of chips and skipped windows, which add up to the windows of the scenes.

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
    """Objects that are labelled in at least one chip."""
    objects_dropped: int
    """Other objects: outside of the scenes or of the area of interest, without a valid pixel, or
    too little visible. Those of ignored classes are in neither number."""
    skipped_empty: int
    """Windows without objects beyond ``tile.empty_share``."""
    skipped_invalid: int
    """Windows without a valid pixel."""
    skipped_overlap: int
    """Training windows that overlap a validation window."""
    skipped_outside: int = 0
    """Windows outside of the area of interest."""
    scenes: int = 1
    """Scenes that chips were cut from."""
    skipped_elsewhere: int = 0
    """Of ``skipped_overlap``, windows in the validation area of another scene."""


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
    scenes: str | Path | Sequence[str | Path],
    labels: Path | Sequence[Path],
    output: Path,
    config: TileConfig,
    data: DataConfig,
    *,
    area: LabelledArea | None = None,
    overwrite: bool = False,
    check: Callable[[Path], None] = lambda _folder: None,
    progress: _Progress | None = None,
) -> TileReport:
    """Cut labelled chips for training from scenes.

    The chips are GeoTIFFs with the bands, dtype, nodata value and CRS of their scene, resampled
    where ``tile.gsd`` is set and where pixels are not square on the ground. If a chip shows too
    little of an object to keep it (``tile.min_visible``), the object is an ignored region there,
    which is neither object nor background; so is an object of an ignored class, and what lies
    outside of the labelled area. The classes are written as they are learnt: a training that reads
    the chips with the same settings finds nothing more to do.

    Scenes that overlap on the ground share their blocks, whatever their grids and CRSs, so that
    dates of one place are split alike.

    Law: no training chip shares ground with a validation chip.

    Args:
        scenes: Rasters, see :func:`geodet.raster.scene_lists.list_scenes`.
        labels: Points or polygons in any vector file that GDAL reads, in any CRS: one file for all
            scenes, or one for each, see :func:`geodet.tilesets.label_files.pair_labels`.
        output: Folder of the tileset; appears when it is complete.
        config: Chip size, blocks and shares.
        data: Sides of boxes around points, the GSD of a scene without a georeference, new names
            of classes, ignored ones, and the one for all objects.
        area: The part that was labelled; None: all of the scenes.
        overwrite: Replace an existing tileset.
        check: Called with the folder of the complete tileset before it replaces an existing one,
            which stays if this raises.
        progress: Called with the number of windows done and to do; the latter does not change.

    Raises:
        SceneError: A scene cannot be read, or resampled as wished.
        VectorError: The labels or the area cannot be read, or the area meets no scene.
        TilesetError: No label is in a scene, none is of a class that is learnt, the labels lack a
            class that is renamed or ignored, or no split is possible.
        OutputError: The folder exists or cannot be written.
    """
    listed = [scenes] if isinstance(scenes, str | Path) else scenes
    paths = list_scenes([str(path) for path in listed])
    files = [labels] if isinstance(labels, Path) else labels
    check_new_tileset(output, overwrite=overwrite, inputs=(*map(Path, paths), *files))
    inputs = read_tile_inputs(paths, labels, config, data, area=area)
    plan = plan_chips(inputs.scenes, config)
    with _OpenScenes(inputs, config, data) as opened, replace_folder(output) as folder:
        (folder / "images").mkdir()
        # In a reviewed window, nothing but mistakes of the model may have been found: the most
        # instructive background.
        is_reviewed = area is not None and area.reviews is not None
        share = None if is_reviewed else config.empty_share
        chips, invalid = _copy_chips(opened, plan, folder / "images", share, progress)
        images = tuple(_label_chip(chip, plan, inputs) for chip in chips)
        write_tileset(Tileset(folder, inputs.classes, images), data)
        check(folder)
    return _report(plan, chips, inputs, invalid)


class _OpenScenes(Closing):
    """The scenes that chips are copied from, a few of them open at a time."""

    def __init__(self, inputs: TileInputs, config: TileConfig, data: DataConfig) -> None:
        self._inputs, self._gsd, self._scene_gsd = inputs, config.gsd, data.gsd
        self._open: OrderedDict[int, ChipCopier] = OrderedDict()

    def close(self) -> None:
        """Close the scenes."""
        for copier in self._open.values():
            copier.close()
        self._open.clear()

    def copy(self, plan: ChipPlan, index: int, folder: Path) -> Path | None:
        """Write a window to a file; return None if none of its pixels is valid."""
        scene, window = int(plan.scene[index]), plan.windows[index]
        name = self._inputs.scenes[scene].name
        path = folder / f"{name}_r{window.row_off}_c{window.col_off}.tif"
        return path if self._copier(scene).copy(window, path) else None

    def _copier(self, scene: int) -> ChipCopier:
        if scene not in self._open:
            if len(self._open) >= _OPEN_SCENES:
                self._open.popitem(last=False)[1].close()
            path = self._inputs.paths[scene]
            self._open[scene] = ChipCopier(path, gsd=self._gsd, scene_gsd=self._scene_gsd)
        self._open.move_to_end(scene)
        return self._open[scene]


def _copy_chips(
    opened: _OpenScenes,
    plan: ChipPlan,
    folder: Path,
    empty_share: float | None,
    progress: _Progress | None,
) -> tuple[list[_ChipFile], int]:
    """Write the windows with objects, and for each part of the split a share of empty ones.

    Args:
        opened: The scenes.
        plan: Their windows.
        folder: The folder for the chips.
        empty_share: As ``tile.empty_share``; None: all.
        progress: Called with the number of windows done and to do.

    Returns:
        The chips, and the number of windows without a valid pixel that were read.
    """

    def most(full: int) -> int | None:
        return None if empty_share is None else round(empty_share * full)

    total = sum(
        len(full) + len(plan.empty[split][: most(len(full))]) for split, full in plan.full.items()
    )
    chips: list[_ChipFile] = []
    invalid: list[int] = []
    show = progress or (lambda _done, _total: None)
    for split, full in plan.full.items():
        before = len(chips)
        for windows in (full, plan.empty[split]):
            limit = len(full) if windows is full else most(len(chips) - before)
            for index, path in islice(_iter_copied(opened, plan, windows, folder, invalid), limit):
                chips.append(_ChipFile(index, path, split))
                show(min(len(chips), total), total)
    show(total, total)
    return chips, len(invalid)


def _iter_copied(
    opened: _OpenScenes, plan: ChipPlan, windows: Sequence[int], folder: Path, invalid: list[int]
) -> Iterator[tuple[int, Path]]:
    """Write windows one by one; append those without a valid pixel to ``invalid``."""
    for index in windows:
        path = opened.copy(plan, index, folder)
        if path is None:
            invalid.append(index)
        else:
            yield index, path


def _label_chip(chip: _ChipFile, plan: ChipPlan, inputs: TileInputs) -> LabelledImage:
    """Return a chip with the objects that it shows, in its pixels."""
    window, scene = plan.windows[chip.window], int(plan.scene[chip.window])
    rows = plan.visible.of(chip.window)
    shown, kept = plan.visible.object[rows], plan.visible.kept[rows]
    boxes = inputs.boxes[shown] - np.array([window.col_off, window.row_off] * 2)
    clipped = np.clip(boxes, 0, [window.width, window.height] * 2)
    # The centre of a box around a point must stay the point.
    whole = np.where(inputs.is_point[shown, None], boxes, clipped)
    seen = None if inputs.oriented is None else _cut(inputs.oriented[shown[kept]], window)
    aoi = inputs.scenes[scene].aoi
    outside: Floats = np.zeros((0, 4)) if aoi is None else outside_boxes(aoi, window)
    return LabelledImage(
        path=chip.path,
        width=window.width,
        height=window.height,
        boxes=whole[kept],
        labels=inputs.labels[shown[kept]],
        ignored=np.concatenate([clipped[~kept], outside]),
        place=plan.blocks[chip.window],
        split=chip.split,
        gsd=inputs.gsd[scene],
        oriented=seen,
    )


def _cut(oriented: Floats, window: Window) -> Floats:
    """Return oriented boxes in the pixels of a window, cut at its edges."""
    moved = oriented - np.array([window.col_off, window.row_off, 0, 0, 0])
    return cut_oriented(moved, window.width, window.height)


def _report(
    plan: ChipPlan, chips: Sequence[_ChipFile], inputs: TileInputs, invalid: int
) -> TileReport:
    visible = plan.visible
    written = np.isin(visible.window, [chip.window for chip in chips])
    kept = len(np.unique(inputs.row[visible.object[written & visible.kept]]))
    train = sum(chip.split == "train" for chip in chips)
    return TileReport(
        classes=inputs.classes,
        train=train,
        val=len(chips) - train,
        objects_kept=kept,
        objects_dropped=inputs.count - kept,
        skipped_empty=(len(plan.windows) - len(chips) - invalid - plan.overlapping - plan.outside),
        skipped_invalid=invalid,
        skipped_overlap=plan.overlapping,
        skipped_outside=plan.outside,
        scenes=len(inputs.scenes),
        skipped_elsewhere=plan.elsewhere,
    )
