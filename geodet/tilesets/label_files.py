"""Read the labels of scenes: one vector file for all of them, or one for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from geodet.config import DataConfig, TileConfig
from geodet.errors import TilesetError
from geodet.files.gdal_paths import PARQUET_SUFFIXES
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import fit_labels
from geodet.tilesets.boundary import check_inside, staying_inside
from geodet.tilesets.scene_labels import SceneLabels, read_scene_labels
from geodet.vector.extents import LABELS_REMEDY, compare_file_extent
from geodet.vector.formats import dataset_files

__all__ = ["LABEL_ENDS", "LabelFiles", "LabelsOfScene", "pair_labels"]

logger = logging.getLogger(__name__)

LABEL_ENDS = (".gpkg", ".geojson", ".shp", ".fgb", *PARQUET_SUFFIXES, ".kml", ".gml")
"""Ends of the names of vector files, which no other labels have."""

_SUFFIXES = (*LABEL_ENDS, ".json", ".csv")


@dataclass(frozen=True, slots=True)
class LabelsOfScene:
    """The objects that a scene shows at least in part."""

    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2 in the pixels of the scene; a point has no extent."""
    is_point: NDArray[np.bool_]
    """(N,) True where the label is a point."""
    row: Ints
    """(N,) number of each object, counted over all files."""
    oriented: Floats | None = None
    """(N, 5) oriented boxes of polygons with four corners, and the boxes of others; None: none
    stands at an angle."""


def pair_labels(
    labels: Path | Sequence[Path], scenes: Sequence[str], *, allow_outside: bool = False
) -> tuple[Path, ...]:
    """Choose the file of labels of each scene.

    Args:
        labels: One file for all scenes, or a folder of GeoParquet files that detect wrote; as many
            files as scenes, in their order; or a folder, in which the file with the labels of
            ``a.tif`` is named ``a.gpkg``, ``a.geojson`` and so on.
        scenes: Paths of the scenes.
        allow_outside: Whether a file of the folder may be a link to one outside of it.

    Raises:
        TilesetError: There are other numbers of files, or a scene has none or several in the
            folder, or one that lies elsewhere.

    Example:
        >>> pair_labels(Path("cars.gpkg"), ["a.tif", "b.tif"])
        (PosixPath('cars.gpkg'), PosixPath('cars.gpkg'))
    """
    listed = (labels,) if isinstance(labels, Path) else tuple(labels)
    if len(listed) == 1:
        (one,) = listed
        if not one.is_dir() or one.suffix.lower() == ".gdb":
            return tuple(one for _ in scenes)
        parts = [one / name for name in dataset_files(one)]
        is_dataset = bool(parts) and not {p.stem for p in parts} & {Path(s).stem for s in scenes}
        with staying_inside(one, is_open=allow_outside):
            for part in parts if is_dataset else ():
                check_inside(part)
            return tuple(one if is_dataset else _find_of_scene(one, scene) for scene in scenes)
    if len(listed) != len(scenes):
        raise TilesetError(
            f"{len(listed)} files of labels are given for {len(scenes)} scenes",
            hint="give one file for all scenes, one for each in the order of the scenes, or a "
            "folder with a file of each scene's name",
        )
    return listed


def _find_of_scene(folder: Path, scene: str) -> Path:
    """Find the vector file in a folder that is named as a scene."""
    stem = Path(scene).stem
    files = sorted(
        file
        for file in folder.iterdir()
        if file.stem == stem and file.suffix.lower() in _SUFFIXES and file.is_file()
    )
    if len(files) == 1:
        check_inside(files[0])
        return files[0]
    several = ", ".join(file.name for file in files)
    raise TilesetError(
        f"{folder} has several vector files for {scene}: {several}"
        if files
        else f"{folder} has no vector file for {scene}",
        hint=f"keep one of {several}"
        if files
        else f"name the labels of this scene {stem}.gpkg, {stem}.geojson or {stem}.shp",
        path=folder,
    )


class LabelFiles:
    """The labels of several scenes, each file read once for each CRS of its scenes.

    Args:
        paths: The file of each scene; see :func:`pair_labels`.
        scenes: Path of each scene, for messages.
        config: ``label_field`` and ``labels_crs``.
        data: ``class_name``.
    """

    def __init__(
        self, paths: Sequence[Path], scenes: Sequence[str], config: TileConfig, data: DataConfig
    ) -> None:
        self._paths = tuple(paths)
        self._files = {path: _LabelFile(path, config, data) for path in paths}
        for path, scene in zip(paths, scenes, strict=True):
            self._files[path].scenes.append(scene)
        self._read: dict[Path, int] = {}  # number of the first object of each file

    @property
    def names(self) -> tuple[str, ...]:
        """Class of each object of the files read so far."""
        return tuple(name for path in self._read for name in self._files[path].names)

    @property
    def source(self) -> str:
        """The file, or their number, for messages."""
        count = len(self._files)
        return str(self._paths[0]) if count == 1 else f"the {count} files of labels"

    def read(self, scene: int, geobox: GeoBox, name: str | None = None) -> LabelsOfScene:
        """Read the labels of a scene.

        Args:
            scene: Index of the scene.
            geobox: Geobox of its pixels.
            name: What its labels have as the attribute ``scene``; of those that have none, and if
                it is None, all that lie in the scene are its.

        Raises:
            VectorError: The file cannot be read, or does not say the classes.
        """
        path = self._paths[scene]
        found = self._files[path].read(geobox, name)
        if path not in self._read:
            self._read[path] = sum(len(self._files[known].names) for known in self._read)
        return replace(found, row=found.row + self._read[path])

    def check_found(self, read: Sequence[LabelsOfScene], first: GeoBox) -> None:
        """Check that each file has a label in a scene, and warn of those that are in none.

        Args:
            read: The labels of all scenes.
            first: Geobox of a scene, for the message.

        Raises:
            TilesetError: A file has labels, but none in its scenes; or no file has any.
        """
        rows = np.unique(np.concatenate([labels.row for labels in read]))
        for path, start in self._read.items():
            file = self._files[path]
            inside = int(((rows >= start) & (rows < start + len(file.names))).sum())
            if not inside and (file.names or len(self._read) == 1):
                raise TilesetError(
                    f"none of the {len(file.names)} labels in {path} lies in {file.where}",
                    hint=compare_file_extent(
                        path, file.last or first, what="labels", remedy=LABELS_REMEDY
                    ),
                    path=path,
                )
            if inside < len(file.names):
                lost = len(file.names) - inside
                logger.warning(
                    "%d of %d labels lie outside of %s", lost, len(file.names), file.where
                )
        if not len(rows):
            raise TilesetError(
                f"{self.source} have no labels", hint="label some objects in one of the scenes"
            )


class _LabelFile:
    """One file of labels, read once for each CRS of its scenes."""

    def __init__(self, path: Path, config: TileConfig, data: DataConfig) -> None:
        self.path, self._config, self._data = path, config, data
        self.scenes: list[str] = []
        self.last: GeoBox | None = None
        self._known: list[tuple[CRS | None, SceneLabels]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Class of each object."""
        return self._known[0][1].names

    @property
    def where(self) -> str:
        """The scenes in which the labels ought to lie."""
        return self.scenes[0] if len(self.scenes) == 1 else f"any of the {len(self.scenes)} scenes"

    def read(self, geobox: GeoBox, name: str | None) -> LabelsOfScene:
        """Return the labels in a scene, numbered from 0."""
        self.last = self.last or geobox
        found = self._in_crs(geobox.crs)
        boxes = found.to_pixels(geobox)
        # Not finite: coordinates that do not exist in the scene's CRS.
        inside = np.isfinite(boxes).all(axis=1)
        bounds = np.array([geobox.width, geobox.height])
        if name is not None:
            scenes = np.array(found.scenes, object)
            inside &= (scenes == name) | (scenes == "")
        inside &= np.all((boxes[:, 2:] >= 0) & (boxes[:, :2] <= bounds), axis=1)
        return LabelsOfScene(
            boxes[inside],
            found.is_point[inside],
            np.flatnonzero(inside),
            fit_labels(boxes[inside], found.quads(geobox, inside)),
        )

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
