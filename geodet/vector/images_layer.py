"""The pictures of a run with the number of objects in each: a layer, or a table.

Each picture is a point where the camera was. A GeoPackage has the layer ``images``; beside any
other output there is a GeoJSON file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.files.outputs import raising_output_errors, replacing
from geodet.files.spreadsheet_text import safe_text
from geodet.geometry.arrays import Ints
from geodet.geometry.geobox import WGS_84
from geodet.geopackage.side_tables import SideTable, add_side_table, write_side_features
from geodet.photographs.photograph import Photograph

__all__ = [
    "IMAGES",
    "TOTAL",
    "ImageCounts",
    "add_images",
    "count_columns",
    "images_path",
    "write_image_counts",
    "write_images",
]

IMAGES = "images"
"""Name of the layer."""

TOTAL = "objects"
"""Name of the column with the number of objects of all classes."""
_TYPES = {"O": "TEXT", "i": "INTEGER", "f": "REAL"}  # by the kind of NumPy's type
_NUMBERS = ("gsd_m", "longitude", "latitude", "altitude_m", "height_m", "yaw_deg", "pitch_deg")


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """The pictures of an output, and the objects that it holds of each."""

    classes: tuple[str, ...]
    """Names of the classes, by label."""
    images: Sequence[Photograph]
    """N pictures."""
    counts: Ints
    """(N, number of classes)."""

    @staticmethod
    def of(
        classes: Sequence[str], photographs: Mapping[str, Photograph], counts: Mapping[str, Ints]
    ) -> ImageCounts:
        """Gather the counts of pictures, in the order of the pictures.

        Args:
            classes: Names of the classes, by label.
            photographs: What is known of pictures.
            counts: Objects of each class, of those pictures that were searched.
        """
        images = [one for name, one in photographs.items() if name in counts]
        rows = [counts[image.scene] for image in images]
        table = np.array(rows, np.int64).reshape(len(images), len(classes))
        return ImageCounts(tuple(classes), images, table)

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns of the layer, in order: (N,) each."""
        found: dict[str, NDArray[Any]] = {
            "scene": self._texts("scene"),
            "time": self._texts("time"),
            TOTAL: self.counts.sum(axis=1),
        }
        found |= dict(zip(count_columns(self.classes), self.counts.T, strict=True))
        for name in _NUMBERS:
            found[name] = np.array([getattr(image, name) for image in self.images], np.float64)
        return found | {"gsd_from": self._texts("gsd_from"), "camera": self._texts("camera")}

    def _texts(self, name: str) -> NDArray[Any]:
        return np.array([getattr(image, name) for image in self.images], object)


def count_columns(classes: Sequence[str]) -> list[str]:
    """Name the column with the count of each class; names differ even in lower case.

    Example:
        >>> count_columns(["cow", "Cow", "sheep"])
        ['objects_cow', 'objects_Cow_2', 'objects_sheep']
    """
    taken: set[str] = set()
    names = []
    for name in classes:
        column = first = f"{TOTAL}_{name}"
        number = 1
        while column.casefold() in taken:
            number += 1
            column = f"{first}_{number}"
        taken.add(column.casefold())
        names.append(column)
    return names


def images_path(output: Path) -> Path:
    """Return where the pictures are, beside an output that is no GeoPackage.

    Example:
        >>> images_path(Path("animals.geojson")).name
        'animals.geojson.images.geojson'
    """
    return output.with_name(f"{output.name}.{IMAGES}.geojson")


def add_images(path: Path, found: ImageCounts) -> None:
    """Add the layer to a GeoPackage that is closed.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    add_side_table(path, _to_table(found))


def write_images(output: Path, found: ImageCounts | None) -> None:
    """Write the pictures beside an output; without any, remove those of an earlier run.

    Raises:
        OutputError: The file cannot be written.
    """
    path = images_path(output)
    with raising_output_errors(path):
        if found is None:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            write_side_features(temporary, IMAGES, _to_table(found).features)


def write_image_counts(path: Path, found: ImageCounts) -> None:
    """Write a table of the pictures as CSV: name, time, place, metres per pixel and counts.

    Names that a spreadsheet would run as formulas get an apostrophe before them.

    Raises:
        OutputError: The file cannot be written.
    """
    columns = found.columns
    first = ["scene", "time", "longitude", "latitude", "gsd_m", "gsd_from", TOTAL]
    names = [*first, *count_columns(found.classes)]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([safe_text(name) for name in names])
        table.writerows(zip(*(map(_to_cell, columns[name]) for name in names), strict=True))


def _to_cell(value: Any) -> Any:
    if isinstance(value, str):
        return safe_text(value)
    is_unknown = isinstance(value, float) and np.isnan(value)
    return "" if is_unknown else f"{value:.10g}" if isinstance(value, float) else int(value)


def _to_table(found: ImageCounts) -> SideTable:
    columns = found.columns
    types = {name: _TYPES[values.dtype.kind] for name, values in columns.items()}
    places = np.stack([columns["longitude"], columns["latitude"]], axis=-1)[:, None]
    values = [[_known(value) for value in column.tolist()] for column in columns.values()]
    return SideTable(IMAGES, types, values, places, WGS_84)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
