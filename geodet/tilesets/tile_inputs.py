"""Read what chips are cut from: scenes, their labels, and the area that was labelled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.config import DataConfig, TileConfig
from geodet.errors import ConfigError, TilesetError, VectorError
from geodet.files.decisions import WINDOWS_LAYER
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import oriented_of_boxes
from geodet.raster.scene_names import name_files, scene_names, slashed_path
from geodet.raster.unplaced import warn_of_unplaced
from geodet.reviewing.reviewed_scenes import find_scenes
from geodet.tilesets.chip_files import ChipCopier
from geodet.tilesets.class_maps import map_names
from geodet.tilesets.label_boxes import point_box_sides
from geodet.tilesets.label_files import LabelFiles, pair_labels
from geodet.tilesets.labelled_scene import LabelledScene
from geodet.tilesets.unplaced_labels import check_objects_have_place
from geodet.tilesets.used_classes import choose_used_classes, number_classes
from geodet.vector.area_of_interest import AreaOfInterest, aoi_of_bounds, read_aoi
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.vector_files import read_frame, scenes_of_rows

__all__ = ["LabelledArea", "TileInputs", "read_areas", "read_tile_inputs"]

logger = logging.getLogger(__name__)

_FAR_SHARE = 0.25  # of a scene far from all labels, from which on it is warned of


@dataclass(frozen=True, slots=True)
class LabelledArea:
    """The part of the scenes that was labelled: polygons, or a rectangle."""

    aoi: Path | None = None
    """A vector file with polygons, in any CRS."""
    bounds: tuple[float, float, float, float] | None = None
    """A rectangle in place of polygons: xmin, ymin, xmax, ymax."""
    bounds_crs: str | None = None
    """The CRS of the bounds; None: that of each scene."""
    reviews: Path | None = None
    """The file of reviews that labels and polygons are of: each has the name of its scene."""

    def __post_init__(self) -> None:
        if self.aoi is not None and self.bounds is not None:
            raise ConfigError(
                "both an area of interest and bounds are given",
                hint="give either aoi (--aoi) or bounds (--bounds)",
            )

    @property
    def summary(self) -> str | None:
        """The name of the file, or the bounds and their CRS; None for everything."""
        if self.bounds is None:
            return None if self.aoi is None else self.aoi.name
        crs = [] if self.bounds_crs is None else [self.bounds_crs]
        return ",".join([*(f"{side:.10g}" for side in self.bounds), *crs])


@dataclass(frozen=True, slots=True)
class TileInputs:
    """Scenes with their labels; the objects are numbered over all scenes."""

    paths: tuple[str, ...]
    """The raster of each scene."""
    scenes: tuple[LabelledScene, ...]
    """Grids and objects of the scenes."""
    gsd: tuple[float | None, ...]
    """Metres per pixel of each grid, None where they are unknown."""
    labels: NDArray[np.int64]
    """(N,) class of each object; -1 for one of an ignored class."""
    row: Ints
    """(N,) number of each object in the files of labels; overlapping scenes repeat it."""
    classes: tuple[str, ...]
    """Names of the classes, sorted."""
    count: int
    """Objects in the files of labels, without those of ignored classes."""

    @property
    def boxes(self) -> Floats:
        """(N, 4) boxes of the objects, each in the pixels of its scene's grid."""
        return np.concatenate([scene.boxes for scene in self.scenes])

    @property
    def oriented(self) -> Floats | None:
        """(N, 5) oriented boxes likewise; None if no label has four corners."""
        found = [scene.oriented for scene in self.scenes]
        if all(part is None for part in found):
            return None
        parts = zip(self.scenes, found, strict=True)
        return np.concatenate([oriented_of_boxes(s.boxes) if o is None else o for s, o in parts])

    @property
    def is_point(self) -> NDArray[np.bool_]:
        """(N,) True where the box stands around a labelled point."""
        return np.concatenate([scene.is_point for scene in self.scenes])


class _Grid(NamedTuple):
    """The grid of a scene that chips are cut from."""

    geobox: GeoBox
    gsd: float | None
    resolution: tuple[float, float] | None


def read_areas(
    area: LabelledArea | None,
    geoboxes: Sequence[GeoBox],
    names: Sequence[str | None] = (),
    paths: Sequence[str] = (),
) -> Sequence[AreaOfInterest | None]:
    """Read the labelled part of each scene; None where all of it is.

    Args:
        area: The part; None: everything.
        geoboxes: The scenes'.
        names: As in :func:`geodet.vector.area_of_interest.read_aoi`.
        paths: The scenes', for messages.

    Raises:
        VectorError: The file cannot be read, or meets no scene.
        ConfigError: The bounds are no rectangle.
    """
    if area is not None and area.aoi is not None:
        found = read_aoi(area.aoi, geoboxes, scenes=names)
    elif area is not None and area.bounds is not None:
        found = [aoi_of_bounds(area.bounds, box, area.bounds_crs) for box in geoboxes]
    else:
        return [None] * len(geoboxes)
    if all(one.is_empty for one in found):
        if area.reviews is not None:
            raise _not_reviewed(area.reviews, paths)
        found[0].check_meets_scene()
    return found


def _not_reviewed(reviews: Path, paths: Sequence[str]) -> VectorError:
    """Return the error of reviews that have no window in any of the scenes."""
    windows = read_frame(f"{reviews}{LAYER_SEPARATOR}{WINDOWS_LAYER}", columns=["scene"])
    named = ", ".join(sorted(set(scenes_of_rows(windows)) - {""}))[:200]
    return VectorError(
        f"{reviews} has no reviewed window in {', '.join(paths)[:200]}; its windows are in"
        f" {named or 'no scene that they name'}",
        hint="give the scenes that were reviewed; or mark windows as done in geodet view, with the"
        " key w",
        path=reviews,
    )


def read_tile_inputs(
    paths: Sequence[str],
    labels: Path | Sequence[Path],
    config: TileConfig,
    data: DataConfig,
    *,
    area: LabelledArea | None = None,
) -> TileInputs:
    """Read scenes and labels; scenes that the area does not meet are left out.

    Args:
        paths: The rasters.
        labels: Points or polygons, in any CRS; see
            :func:`geodet.tilesets.label_files.pair_labels`.
        config: ``gsd`` and ``label_field``.
        data: Sides of boxes around points, the GSD of a scene without a georeference, new names
            of classes, ignored ones, and the one for all objects.
        area: The part that was labelled; None: all of the scenes.

    Raises:
        SceneError: A scene cannot be opened, or its metres per pixel are needed and unknown.
        VectorError: The labels or the area cannot be read, the area meets no scene, or labels are
            in a CRS and their scene has no geotransform to its own.
        TilesetError: No label lies in a scene, or all are of ignored classes; the labels lack a
            class that is renamed or ignored; or they are points and no size is set.
    """
    files = pair_labels(labels, paths, allow_outside=data.allow_outside)
    grids: list[_Grid] = []
    unplaced: dict[str, CRS | None] = {}
    for path, file in zip(paths, files, strict=True):
        with ChipCopier(path, gsd=config.gsd, scene_gsd=data.gsd) as copier:
            grids.append(_Grid(copier.geobox, copier.gsd, copier.resolution))
            _report_made_square(copier, path)
            unplaced[path] = copier.unplaced_crs
        check_objects_have_place(file, path, unplaced[path], config.labels_crs)
    warn_of_unplaced(unplaced)
    geoboxes = [grid.geobox for grid in grids]
    reviewed = _reviewed_names(area, paths, geoboxes)
    areas = read_areas(area, geoboxes, reviewed, paths)
    reader = LabelFiles(files, paths, config, data)
    met = [i for i, aoi in enumerate(areas) if aoi is None or not aoi.is_empty]
    read = [reader.read(i, geoboxes[i], reviewed[i]) for i in met]
    reader.check_found(read, geoboxes[met[0]])
    names = scene_names(paths)
    chip_names = name_files(names)
    scenes = []
    label_names = map_names(reader.names, reader.source, data)
    classes = choose_used_classes(sorted(set(label_names)), reader.source, data)
    of_label = number_classes(label_names, classes, data)
    row = np.concatenate([found.row for found in read])
    _check_some_learnt(of_label[row], reader.source)
    for i, found in zip(met, read, strict=True):
        boxes, is_point = found.boxes, found.is_point
        if is_point.any():
            half = point_box_sides(data, grids[i].resolution, files[i]) / 2
            boxes[is_point] += np.concatenate([-half, half])
            if found.oriented is not None:  # of points, they have no area yet
                found.oriented[is_point] = oriented_of_boxes(boxes[is_point])
        name = chip_names[names[i]]
        ignored = of_label[found.row] < 0
        one = LabelledScene(geoboxes[i], boxes, is_point, areas[i], name, found.oriented, ignored)
        scenes.append(one)
        if areas[i] is None:
            _warn_of_far_parts(scenes[-1], paths[i], config.chip_size)
    return TileInputs(
        paths=tuple(paths[i] for i in met),
        scenes=tuple(scenes),
        gsd=tuple(grids[i].gsd for i in met),
        labels=of_label[row],
        row=row,
        classes=classes,
        count=int((of_label >= 0).sum()),
    )


def _check_some_learnt(labels: Ints, source: str) -> None:
    """Check that an object in a scene is of no ignored class."""
    if (labels < 0).all():
        raise TilesetError(
            f"{source}: the {len(labels)} labels in the scenes are of ignored classes",
            hint="check data.ignore_classes",
        )


def _report_made_square(copier: ChipCopier, path: str) -> None:
    """Log how a scene is resampled whose pixels are not square on the ground."""
    if copier.made_square_from is not None:
        logger.info(
            "the pixels of %s are %.3g x %.3g m on the ground: resampled to %.3g m, %d x %d px",
            path,
            *copier.made_square_from,
            copier.gsd,
            copier.geobox.width,
            copier.geobox.height,
        )


def _reviewed_names(
    area: LabelledArea | None, paths: Sequence[str], geoboxes: Sequence[GeoBox]
) -> list[str | None]:
    """Return the name that the rows of each scene have in a file of reviews.

    None without such a file, and for a scene that is not in it: then rows are taken by their place.
    """
    if area is None or area.reviews is None:
        return [None] * len(paths)
    scenes = [slashed_path(path) for path in paths]
    return find_scenes(area.reviews, scenes, geoboxes, any_size=True, any_name=True)


def _warn_of_far_parts(scene: LabelledScene, path: str, chip_size: int) -> None:
    """Warn if much of a scene is further than a chip from the hull of its labels."""
    frame = shapely.box(0, 0, scene.geobox.width, scene.geobox.height)
    corners = shapely.multipoints(scene.boxes.reshape(-1, 2))
    near = shapely.buffer(shapely.convex_hull(corners), chip_size)
    far = 1 - shapely.area(shapely.intersection(frame, near)) / shapely.area(frame)
    if far > _FAR_SHARE:
        logger.warning(
            "%.0f %% of %s is more than a chip away from all labels and counts as background; if "
            "you labelled only a part, give it with aoi or bounds (--aoi FILE, --bounds)",
            100 * far,
            path,
        )
