"""The scenes of a file of reviews: scenes in different folders may share a name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyproj import CRS

from geodet.errors import VectorError
from geodet.files.locks import locked_output
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.reviewing.noted_files import SCENES_TABLE, is_other_file, note_file, read_files
from geodet.reviewing.stored_geometries import decode_geometry
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.vector_files import read_extent

__all__ = [
    "SCENES_TABLE",
    "ScenePlace",
    "add_places",
    "enter_scene",
    "find_scenes",
    "list_names",
    "locked_review",
    "place_of",
]

logger = logging.getLogger(__name__)

_NEAR_PX = 0.5
_ROWS = 20  # that are looked at where a file of an earlier version has no table of scenes
_CREATE = f"""
    CREATE TABLE IF NOT EXISTS {SCENES_TABLE} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    scene TEXT UNIQUE NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    corners TEXT NOT NULL, path TEXT)"""
_LIST = f"""
    INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier)
    VALUES ('{SCENES_TABLE}', 'attributes', '{SCENES_TABLE}')"""
_BOX_CENTRE = "(x1_px + x2_px) / 2, (y1_px + y2_px) / 2"
_WINDOW_CENTRE = "col_off + width / 2.0, row_off + height / 2.0"
_CENTRES = {
    **{"windows": _WINDOW_CENTRE, "suggestions": _WINDOW_CENTRE},
    **{"labels": _BOX_CENTRE, "rejected": _BOX_CENTRE},
}
_HERE = "scene = ? AND geom IS NOT NULL"


@dataclass(frozen=True, slots=True)
class ScenePlace:
    """The place of a scene, in the CRS of a file of reviews."""

    width: int
    """Columns."""
    height: int
    """Rows."""
    corners: Floats
    """(4, 2) x and y."""

    @property
    def tolerance(self) -> float:
        """Half a pixel in the units of the CRS."""
        diagonal = self.corners[2] - self.corners[0]
        return _NEAR_PX * math.hypot(*diagonal) / math.hypot(self.width, self.height)

    def is_same(self, other: ScenePlace, *, any_size: bool = False) -> bool:
        """Whether both have the same corners, to half a pixel, and as many pixels.

        Args:
            other: Another place.
            any_size: Whether other numbers of pixels are the same place.
        """
        if not any_size and (self.width, self.height) != (other.width, other.height):
            return False
        distances = np.abs(self.corners - other.corners)
        return bool(distances.max() <= max(self.tolerance, other.tolerance))


def place_of(geobox: GeoBox, crs: CRS | None) -> ScenePlace:
    """Return the place of a scene in a CRS."""
    whole = np.array([[0, 0, geobox.width, geobox.height]], np.float64)
    return ScenePlace(geobox.width, geobox.height, geobox.corners(whole, crs)[0])


def enter_scene(database: sqlite3.Connection, scene: str, geobox: GeoBox, crs: CRS | None) -> str:
    """Return the name under which a file has the rows of a scene; a new scene is given one.

    A scene that was moved keeps its rows. One of the same file name at another place, or of another
    year where the file of the first is still there, does not get them: it is named by the shortest
    end of its path that no other scene has.

    Args:
        database: The file, in a transaction.
        scene: Path of the scene, its folders joined by slashes.
        geobox: Geobox of the scene.
        crs: CRS of the file.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    found = _KnownScenes(database, crs).find(scene, geobox)
    name = _new_name(database, scene) if found is None else found
    add_places(database, {name: geobox}, crs)
    note_file(database, name, scene)
    return name


def add_places(
    database: sqlite3.Connection, geoboxes: Mapping[str, GeoBox], crs: CRS | None
) -> None:
    """Note where the scenes of a file of reviews lie, before people move its rows in a GIS.

    Args:
        database: The file, in a transaction.
        geoboxes: Of the scenes, by the names that their rows have.
        crs: Of the file.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    database.execute(_CREATE)
    database.execute(_LIST)
    for name, geobox in geoboxes.items():
        place = place_of(geobox, crs)
        values = name, place.width, place.height, json.dumps(place.corners.tolist())
        columns = "scene, width, height, corners"
        database.execute(
            f"INSERT OR IGNORE INTO {SCENES_TABLE} ({columns}) VALUES (?, ?, ?, ?)", values
        )


def find_scenes(
    path: Path,
    scenes: Sequence[str],
    geoboxes: Sequence[GeoBox],
    *,
    any_size: bool = False,
    any_name: bool = False,
) -> list[str | None]:
    """Find the names under which a file of reviews has the rows of scenes; None for those it lacks.

    A renamed scene is not given the name of another one that has as many pixels, such as of another
    year.

    Args:
        path: The file.
        scenes: Path of each scene, its folders joined by slashes.
        geoboxes: Geoboxes of the scenes.
        any_size: Whether scenes may have been resampled.
        any_name: Whether scenes may have been renamed.

    Raises:
        VectorError: The file cannot be read.
    """
    crs = read_extent(f"{path}{LAYER_SEPARATOR}windows")[0]
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            known, both = _KnownScenes(database, crs), [*zip(scenes, geoboxes, strict=True)]
            names = [known.find(scene, geobox, any_size=any_size) for scene, geobox in both]
            if not any_name:
                return names
            taken = {
                (name, one.width, one.height) for name, one in zip(names, geoboxes, strict=True)
            }
            return [
                known.find_renamed(scene, geobox, taken, any_size=any_size)
                if name is None
                else name
                for name, (scene, geobox) in zip(names, both, strict=True)
            ]
    except sqlite3.Error as error:
        raise VectorError(
            f"cannot read {path}: {error}",
            hint="give a file that geodet suggest or geodet view --reviews wrote",
            path=path,
        ) from error


@contextmanager
def locked_review(path: Path, scene: str, geobox: GeoBox) -> Iterator[None]:
    """Keep other programs from reviewing a scene in a file, for a ``with`` block.

    Several scenes may be reviewed in one file at a time. The lock ends with the process.

    Args:
        path: The file of reviews.
        scene: Path of the scene, its folders joined by slashes.
        geobox: Geobox of the scene.

    Raises:
        OutputError: Another program reviews the scene in this file.
    """
    name = _ends(scene)[-1]
    place = f"{name} {geobox.width} {geobox.height} {tuple(geobox.transform)}"
    part = hashlib.sha256(place.encode()).hexdigest()[:8]
    with locked_output(
        path,
        part=part,
        busy=f"{name} is being reviewed in {path}",
        hint="continue in its page, or end that program with Ctrl-C; it may run in another "
        "terminal",
    ):
        yield


class _KnownScenes:
    """The scenes that a file of reviews has rows of, or was opened with.

    Args:
        database: The file.
        crs: CRS of the file.
    """

    def __init__(self, database: sqlite3.Connection, crs: CRS | None) -> None:
        self._database, self._crs = database, crs
        self._places, self._files = _read_places(database), read_files(database)
        self._names = list_names(database)
        self._layers = [layer for layer in _CENTRES if _has_table(database, layer)]

    def find(self, scene: str, geobox: GeoBox, *, any_size: bool = False) -> str | None:
        """Find the name of a scene that was not renamed, as :func:`find_scenes` does."""
        ends = _ends(scene)
        return _named(
            ends,
            [
                name
                for name in self._at(geobox, any_size=any_size)
                if _ends(name)[-1] == ends[-1]
                and not is_other_file(self._database, self._files.get(name), scene)
            ],
        )

    def find_renamed(
        self, scene: str, geobox: GeoBox, taken: Set[tuple[str | None, int, int]], *, any_size: bool
    ) -> str | None:
        """Find the name of a scene by its place, of those not taken by one of its size."""
        ends, size = _ends(scene), (geobox.width, geobox.height)
        free = [name for name in self._at(geobox, any_size=any_size) if (name, *size) not in taken]
        return _named(ends, [name for name in free if _ends(name)[-1] == ends[-1]] or free)

    def _at(self, geobox: GeoBox, *, any_size: bool) -> list[str]:
        """List the scenes at the place of a scene."""
        try:
            place = place_of(geobox, self._crs)
        except VectorError:  # a scene that has no place in the CRS
            return []

        def is_here(name: str) -> bool:
            if name in self._places:
                return place.is_same(self._places[name], any_size=any_size)
            return self._has_rows_at(name, geobox, place.tolerance)

        return [name for name in self._names if is_here(name)]

    def _has_rows_at(self, name: str, geobox: GeoBox, tolerance: float) -> bool:
        """Whether rows of a scene lie where their pixels are in a geobox.

        Most of some rows decide: people move others in a GIS.
        """
        stored: list[list[float]] = []
        centres: list[list[float]] = []
        for layer in self._layers:
            query = f"SELECT geom, {_CENTRES[layer]} FROM {layer} WHERE {_HERE} LIMIT {_ROWS}"
            for geometry, x, y in self._database.execute(query, (name,)):
                shape = decode_geometry(geometry)
                if shape is None or x is None or y is None:  # drawn without its pixels
                    continue
                stored.append([shape.centroid.x, shape.centroid.y])
                centres.append([x, y])
        if not stored:
            return False
        expected = geobox.to_world(np.array(centres, np.float64), self._crs)
        distances = np.abs(np.array(stored) - expected).max(axis=1)
        return bool(np.median(distances) <= tolerance)


def _read_places(database: sqlite3.Connection) -> dict[str, ScenePlace]:
    """Read the places of the scenes that were opened with a file."""
    if not _has_table(database, SCENES_TABLE):
        return {}
    rows = database.execute(f"SELECT scene, width, height, corners FROM {SCENES_TABLE}")
    return {
        name: ScenePlace(width, height, np.array(json.loads(corners), np.float64).reshape(4, 2))
        for name, width, height, corners in rows
    }


def list_names(database: sqlite3.Connection) -> list[str]:
    """List the names of the scenes that a file of reviews has rows of, or was opened with."""
    found = dict.fromkeys(_read_places(database))
    for layer in _CENTRES:
        if _has_table(database, layer):
            rows = database.execute(f"SELECT DISTINCT scene FROM {layer} ORDER BY scene")
            found |= dict.fromkeys(str(name) for (name,) in rows if name)
    return list(found)


def _new_name(database: sqlite3.Connection, scene: str) -> str:
    """Return the shortest end of a path that no other scene of a file has for its name."""
    taken, ends = set(list_names(database)), _ends(scene)
    if ends[-1] not in taken:
        return ends[-1]
    numbered = (f"{number}/{ends[0]}" for number in range(2, len(taken) + 3))
    name = next(one for one in (*reversed(ends), *numbered) if one not in taken)
    logger.warning(
        "the file of reviews has another scene %s; this one is stored as %s",
        ends[-1],
        name,
    )
    return name


def _named(ends: Sequence[str], found: Sequence[str]) -> str | None:
    """Return the name that is the longest end of a path, or else the only one."""
    only = found[0] if len(found) == 1 else None
    return next((end for end in ends if end in found), only)


def _ends(scene: str) -> list[str]:
    """List the ends of a path, from all of it to the file name."""
    parts = [part for part in scene.split("/") if part] or [scene]
    return ["/".join(parts[-depth:]) for depth in range(len(parts), 0, -1)]


def _has_table(database: sqlite3.Connection, name: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(database.execute(query, (name,)).fetchone()[0])
