"""Detections in a folder of GeoParquet files, by scene or by place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pyproj import Transformer

from geodet.errors import OutputError
from geodet.files.pending import PendingOutput
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import WGS_84, is_on_earth
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.geoparquet import SpoolingWriter, write_geoparquet
from geodet.vector.lazy_modules import pyarrow
from geodet.vector.rows import FileLayer, Rows
from geodet.vector.spooled_rows import SpooledRows, sides_of, split_spooled

__all__ = ["QuadkeyDatasetWriter", "SceneDatasetWriter", "list_cells"]

_MOST_ROWS = 500_000
"""Most rows of a file by place, unless it is a cell of the finest level."""
_LEVEL = 16  # of the finest cells, of 600 m at the equator
_LATITUDE = 85.0511287798066  # of the northern edge of Web Mercator
_UNPLACED = -1
_UNSAFE = re.compile(r"[^\w.\-]")


class SceneDatasetWriter(SpoolingWriter):
    """Writes a GeoParquet file for each scene that has objects: ``scene-NAME.parquet``."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._scene = ""
        self._ended: dict[str, SpooledRows] = {}

    def _close(self) -> None:
        super()._close()
        for rows in self._ended.values():
            rows.close()

    def _add(self, part: SceneDetections) -> None:
        if part.scene != self._scene:
            self._end_scene()
            self._scene = part.scene
        super()._add(part)

    def _complete(self) -> None:
        self._end_scene()
        for name, rows in self._ended.items():
            write_geoparquet(self._temporary / name, rows, self._layer)
        if not self._ended:  # the columns are there also without objects
            write_geoparquet(self._temporary / "scene-none.parquet", self._rows, self._layer)

    def _end_scene(self) -> None:
        self._flush()
        if self._rows.count:
            self._rows.finish()
            self._ended[_name_file(self._scene, self._ended)] = self._rows
            path = self._temporary.with_name(f"rows_{len(self._ended)}.arrow")
            self._rows = SpooledRows(path, self._rows.schema)


class QuadkeyDatasetWriter(SpoolingWriter):
    """Writes GeoParquet files by place: ``quadkey-0313.parquet`` has what lies in that cell.

    The cells are those of web maps. They are as large as their files have at most 500,000 rows, so
    they differ in size, and none contains another.

    Reference:
        https://learn.microsoft.com/bingmaps/articles/bing-maps-tile-system
    """

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        if not is_on_earth(layer.crs):
            raise OutputError(
                f"{layer.path} has no place on the earth, so it has no quadkeys",
                hint="choose --format parquet-scenes",
                path=layer.path,
            )
        super().__init__(output, layer)
        self._to_degrees = Transformer.from_crs(layer.crs, WGS_84, always_xy=True)
        self._cell_counts: dict[int, int] = {}

    def _add_rows(self, rows: Rows) -> None:
        super()._add_rows(rows)
        cells, counts = np.unique(self._cells(rows.bounds), return_counts=True)
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
            self._cell_counts[cell] = self._cell_counts.get(cell, 0) + count

    def _complete(self) -> None:
        finest = np.array(sorted(cell for cell in self._cell_counts if cell != _UNPLACED), np.int64)
        counts = np.array([self._cell_counts[cell] for cell in finest.tolist()], np.int64)
        keys = list_cells(finest, counts, most=_MOST_ROWS)
        starts = np.array([int(key.ljust(_LEVEL, "0"), 4) for key in keys], np.int64)

        def number(batch: pyarrow.RecordBatch) -> Ints:
            cells = self._cells(sides_of(batch))
            return np.where(cells < 0, _UNPLACED, starts.searchsorted(cells, side="right") - 1)

        parts = split_spooled(self._rows, number)
        try:
            for one, part in sorted(parts.items()):
                key = "none" if one == _UNPLACED else keys[one] or "world"
                write_geoparquet(self._temporary / f"quadkey-{key}.parquet", part, self._layer)
        finally:
            for part in parts.values():
                part.close()
        if not parts:
            write_geoparquet(self._temporary / "quadkey-none.parquet", self._rows, self._layer)

    def _cells(self, bounds: Floats) -> Ints:
        """Return the finest cells that the centres of bounds lie in: (N,), -1 without a place."""
        centres = (bounds[:, :2] + bounds[:, 2:]) / 2
        longitudes, latitudes = self._to_degrees.transform(*centres.T)
        return _number_cells(np.asarray(longitudes), np.asarray(latitudes))


def list_cells(finest: Ints, counts: Ints, *, most: int) -> list[str]:
    """List quadkeys that together contain some cells of the finest level.

    Args:
        finest: (N,) different cells, ascending.
        counts: (N,) objects in each.
        most: Objects in a cell, where it is not one of the finest.

    Returns:
        Ascending. None contains another, each is the smallest for what it contains.

    Example:
        >>> cells = np.array([int("0313000000000000", 4), int("0312000000000000", 4) + 3])
        >>> list_cells(np.sort(cells), np.array([5, 5]), most=10)
        ['031']
        >>> list_cells(np.sort(cells), np.array([5, 5]), most=9)
        ['0312000000000003', '0313000000000000']
    """
    return list(_iter_cells([_to_quadkey(cell) for cell in finest.tolist()], counts, most))


def _iter_cells(keys: list[str], counts: Ints, most: int) -> Iterable[str]:
    if not keys:
        return
    shared = 0
    while shared < _LEVEL and keys[0][shared] == keys[-1][shared]:
        shared += 1
    if counts.sum() <= most or shared == _LEVEL:
        yield keys[0][:shared]
        return
    digits = np.array([int(key[shared]) for key in keys])
    ends = digits.searchsorted(range(5))
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        yield from _iter_cells(keys[start:end], counts[start:end], most)


def _number_cells(longitudes: Floats, latitudes: Floats) -> Ints:
    """Return the cells of the finest level as numbers, whose base-4 digits are the quadkey: (N,).

    Longitudes beyond the antimeridian are those on its other side.
    """
    placed = np.isfinite(longitudes) & np.isfinite(latitudes)
    angles = np.radians(np.where(placed, latitudes, 0.0).clip(-_LATITUDE, _LATITUDE))
    side = 1 << _LEVEL
    x = np.mod(np.where(placed, longitudes, 0.0) / 360 + 0.5, 1.0)
    y = 0.5 - np.arcsinh(np.tan(angles)) / (2 * np.pi)
    column, row = ((part * side).astype(np.int64).clip(0, side - 1) for part in (x, y))
    return np.where(placed, _spread(column) | (_spread(row) << 1), _UNPLACED)


def _spread(values: Ints) -> Ints:
    """Put a zero before each bit of 16: (N,)."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        values = (values | (values << shift)) & mask
    return values


def _to_quadkey(cell: int) -> str:
    return "".join(str(cell >> shift & 3) for shift in range(2 * _LEVEL - 2, -1, -2))


def _name_file(scene: str, taken: Iterable[str]) -> str:
    """Name the file of a scene, by characters that every file system allows."""
    stem = f"scene-{_UNSAFE.sub('_', Path(scene).with_suffix('').as_posix())}"
    names = {name.casefold() for name in taken}
    number, name = 1, f"{stem}.parquet"
    while name.casefold() in names:
        number += 1
        name = f"{stem}_{number}.parquet"
    return name
