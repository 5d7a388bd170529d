"""Read what chips are cut from: scenes, their labels, and the area that was labelled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.config import DataConfig, TileConfig
from geodet.errors import ConfigError, TilesetError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import GeoBox
from geodet.raster.scene_lists import scene_names
from geodet.tilesets.chip_files import ChipCopier
from geodet.tilesets.class_fields import map_names
from geodet.tilesets.label_boxes import point_box_side
from geodet.tilesets.labelled_scene import LabelledScene
from geodet.tilesets.scene_labels import SceneLabels, read_scene_labels
from geodet.vector.area_of_interest import AreaOfInterest, aoi_of_bounds, read_aoi
from geodet.vector.extents import compare_file_extent

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

    def __post_init__(self) -> None:
        if self.aoi is not None and self.bounds is not None:
            raise ConfigError(
                "both an area of interest and bounds are given",
                hint="give one of --aoi and --bounds",
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
    """(N,) class of each object."""
    row: Ints
    """(N,) number of each object in the file of labels; overlapping scenes repeat it."""
    classes: tuple[str, ...]
    """Names of the classes, sorted."""
    count: int
    """Objects in the file of labels."""

    @property
    def boxes(self) -> Floats:
        """(N, 4) boxes of the objects, each in the pixels of its scene's grid."""
        return np.concatenate([scene.boxes for scene in self.scenes])

    @property
    def is_point(self) -> NDArray[np.bool_]:
        """(N,) True where the box stands around a labelled point."""
        return np.concatenate([scene.is_point for scene in self.scenes])


def read_areas(
    area: LabelledArea | None, geoboxes: Sequence[GeoBox]
) -> Sequence[AreaOfInterest | None]:
    """Read the labelled part of each scene; None where all of it is.

    Raises:
        VectorError: The file cannot be read, or meets no scene.
        ConfigError: The bounds are no rectangle.
    """
    if area is not None and area.aoi is not None:
        found = read_aoi(area.aoi, geoboxes)
    elif area is not None and area.bounds is not None:
        found = [aoi_of_bounds(area.bounds, box, area.bounds_crs) for box in geoboxes]
    else:
        return [None] * len(geoboxes)
    if all(one.is_empty for one in found):
        found[0].check_meets_scene()
    return found


def read_tile_inputs(
    paths: Sequence[str],
    labels: Path,
    config: TileConfig,
    data: DataConfig,
    *,
    area: LabelledArea | None = None,
) -> TileInputs:
    """Read scenes and labels; scenes that the area does not meet are left out.

    Args:
        paths: The rasters.
        labels: Points or polygons, in any CRS.
        config: ``gsd`` and ``label_field``.
        data: Sides of boxes around points, and the GSD of a scene without a georeference.
        area: The part that was labelled; None: all of the scenes.

    Raises:
        SceneError: A scene cannot be opened, or its metres per pixel are needed and unknown.
        VectorError: The labels or the area cannot be read, or the area meets no scene.
        TilesetError: No label lies in a scene, or the labels are points and no size is set.
    """
    grids: list[tuple[GeoBox, float | None]] = []
    for path in paths:
        with ChipCopier(path, gsd=config.gsd, scene_gsd=data.gsd) as copier:
            grids.append((copier.geobox, copier.gsd))
    areas = read_areas(area, [geobox for geobox, _ in grids])
    reader = _LabelReader(labels, config, data)
    met = [i for i, aoi in enumerate(areas) if aoi is None or not aoi.is_empty]
    read = [reader.read(grids[i][0]) for i in met]
    _check_found(read, reader, paths, grids[met[0]][0])
    names = _file_names(paths)
    scenes, rows, numbers = [], [], []
    classes, of_label = np.unique(
        np.array(map_names(reader.names, labels, data), object), return_inverse=True
    )
    for i, (boxes, is_point, row) in zip(met, read, strict=True):
        geobox, gsd = grids[i]
        if is_point.any():
            half = point_box_side(data, gsd, labels) / 2
            boxes[is_point] += np.array([-half, -half, half, half])
        scenes.append(LabelledScene(geobox, boxes, is_point, areas[i], names[i]))
        rows.append(row)
        numbers.append(of_label[row])
        if areas[i] is None:
            _warn_of_far_parts(scenes[-1], paths[i], config.chip_size)
    return TileInputs(
        paths=tuple(paths[i] for i in met),
        scenes=tuple(scenes),
        gsd=tuple(grids[i][1] for i in met),
        labels=np.concatenate(numbers).astype(np.int64),
        row=np.concatenate(rows),
        classes=tuple(classes.tolist()),
        count=len(reader.names),
    )


class _LabelReader:
    """Reads the labels once for each CRS of the scenes."""

    def __init__(self, path: Path, config: TileConfig, data: DataConfig) -> None:
        self.path, self._config, self._data = path, config, data
        self._known: list[tuple[CRS | None, SceneLabels]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Class of each object."""
        return self._known[0][1].names

    def read(self, geobox: GeoBox) -> tuple[Floats, NDArray[np.bool_], Ints]:
        """Return boxes, whether they are points, and numbers of the labels in a scene."""
        found = self._in_crs(geobox.crs)
        boxes = found.to_pixels(geobox)
        # Not finite: coordinates that do not exist in the scene's CRS.
        inside = np.isfinite(boxes).all(axis=1)
        bounds = np.array([geobox.width, geobox.height])
        inside &= np.all((boxes[:, 2:] >= 0) & (boxes[:, :2] <= bounds), axis=1)
        return boxes[inside], found.is_point[inside], np.flatnonzero(inside)

    def _in_crs(self, crs: CRS | None) -> SceneLabels:
        for known, labels in self._known:
            if known == crs:
                return labels
        read = read_scene_labels(
            self.path,
            crs,
            label_field=self._config.label_field,
            class_name=self._data.class_name,
            own_crs=self._config.labels_crs,
        )
        self._known.append((crs, read))
        return read


def _check_found(
    read: Sequence[tuple[Floats, NDArray[np.bool_], Ints]],
    reader: _LabelReader,
    paths: Sequence[str],
    first: GeoBox,
) -> None:
    """Check that there is a label in a scene, and warn of those that are in none."""
    count = len(reader.names)
    inside = len(np.unique(np.concatenate([rows for _, _, rows in read])))
    where = paths[0] if len(paths) == 1 else f"any of the {len(paths)} scenes"
    if not inside:
        raise TilesetError(
            f"none of the {count} labels in {reader.path} lies in {where}",
            hint=compare_file_extent(reader.path, first, what="labels"),
            path=reader.path,
        )
    if inside < count:
        logger.warning("%d of %d labels lie outside of %s", count - inside, count, where)


def _warn_of_far_parts(scene: LabelledScene, path: str, chip_size: int) -> None:
    """Warn if much of a scene is further than a chip from the hull of its labels."""
    frame = shapely.box(0, 0, scene.geobox.width, scene.geobox.height)
    corners = shapely.multipoints(scene.boxes.reshape(-1, 2))
    near = shapely.buffer(shapely.convex_hull(corners), chip_size)
    far = 1 - shapely.area(shapely.intersection(frame, near)) / shapely.area(frame)
    if far > _FAR_SHARE:
        logger.warning(
            "%.0f %% of %s is more than a chip away from all labels and counts as background; if "
            "you labelled only a part, give that with --aoi FILE or --bounds",
            100 * far,
            path,
        )


def _file_names(paths: Sequence[str]) -> list[str]:
    """Return a name for the chips of each scene; all differ."""
    names = [name.replace("/", "_") for name in scene_names(list(paths))]
    stems = [Path(name).stem for name in names]
    return [stem if stems.count(stem) == 1 else n for stem, n in zip(stems, names, strict=True)]
