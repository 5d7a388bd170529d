"""Reading of detections from the files that geodet wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from geodet.errors import VectorError
from geodet.files.gdal_paths import gdal_path
from geodet.files.spreadsheet_text import plain_text
from geodet.geometry.boxes import Detections
from geodet.vector.lazy_modules import parquet, pyarrow
from geodet.vector.oriented_fields import ORIENTED_FIELDS, oriented_from_fields
from geodet.vector.rows import LAYER, PIXEL_SIDES
from geodet.vector.vector_files import choose_encoding, is_parquet

__all__ = ["iter_scene_detections", "read_detections"]

_READ = ("label", "score", *PIXEL_SIDES)
_COLUMNS = (*_READ, "scene", *ORIENTED_FIELDS)
_HINT = "give a file that geodet detect wrote"
_ROWS = 200_000  # that are read at once


def read_detections(path: Path, classes: Sequence[str]) -> Detections:
    """Read back what :func:`write_detections` wrote, in the pixels of each scene.

    Args:
        path: A file in any format that has the fields, so neither COCO nor YOLO.
        classes: Names that become labels by their place.

    Raises:
        VectorError: The file cannot be read, was written by another program, or has other classes.
    """
    columns = _read_parquet(path) if is_parquet(str(path)) else _read_with_gdal(path)
    return _to_detections(columns, classes, path)


def iter_scene_detections(path: Path, classes: Sequence[str]) -> Iterator[tuple[str, Detections]]:
    """Read back detections some rows at a time, those of each scene in a part together.

    Args:
        path: As for :func:`read_detections`.
        classes: Likewise.

    Yields:
        The name of a scene, and detections in its pixels; a scene may come again.

    Raises:
        VectorError: As for :func:`read_detections`.
    """
    if is_parquet(str(path)):
        yield from _by_scene(_read_parquet(path), classes, path)
        return
    start = 0
    while True:
        columns = _read_with_gdal(path, skip_features=start, max_features=_ROWS)
        yield from _by_scene(columns, classes, path)
        start += _ROWS
        if len(columns["score"]) < _ROWS:
            return


def _by_scene(
    columns: Mapping[str, NDArray[Any]], classes: Sequence[str], path: Path
) -> Iterator[tuple[str, Detections]]:
    found = _to_detections(columns, classes, path)
    if "scene" not in columns:
        raise VectorError(f"{path} lacks the field scene", hint=_HINT, path=path)
    for name in dict.fromkeys(columns["scene"].tolist()):
        yield str(name), found.select(columns["scene"] == name)


def _to_detections(
    columns: Mapping[str, NDArray[Any]], classes: Sequence[str], path: Path
) -> Detections:
    missing = [name for name in _READ if name not in columns]
    if missing:
        raise VectorError(f"{path} lacks the field {missing[0]}", hint=_HINT, path=path)
    sides = [columns[name].astype(np.float64) for name in PIXEL_SIDES]
    labels = _to_labels(columns["label"], classes, path)
    boxes = np.stack(sides, axis=-1)
    oriented = oriented_from_fields(boxes, dict(columns))
    return Detections(boxes, columns["score"].astype(np.float32), labels, oriented)


def _to_labels(names: NDArray[Any], classes: Sequence[str], path: Path) -> NDArray[np.int64]:
    number_of = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(names.tolist()) - set(number_of))
    if unknown:
        raise VectorError(
            f"{path} has the class {unknown[0]}, which is not one of {', '.join(classes)}",
            hint="name the model that wrote it, with --model FILE",
            path=path,
        )
    return np.array([number_of[name] for name in names.tolist()], np.int64)


def _read_with_gdal(path: Path, **part: int) -> Mapping[str, NDArray[Any]]:
    layer = LAYER if path.suffix.lower() == ".gpkg" else None  # a style is a layer, too
    try:
        about, _, _, columns = pyogrio.raw.read(
            gdal_path(path),
            layer=layer,
            columns=list(_COLUMNS),
            encoding=choose_encoding(path),
            read_geometry=False,
            **part,
        )
    except (DataSourceError, DataLayerError) as error:
        raise VectorError(
            f"cannot read detections from {path}: {error}", hint=_HINT, path=path
        ) from error
    found = dict(zip(about["fields"], columns, strict=True))
    if path.suffix.lower() == ".csv":
        for name in {"label", "scene"} & set(found):
            found[name] = np.array([plain_text(text) for text in found[name]], object)
    return found


def _read_parquet(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        data = parquet.ParquetDataset(path)
        there = [name for name in _COLUMNS if name in data.schema.names]
        table = data.read(columns=there)
    except (OSError, pyarrow.ArrowException) as error:
        raise VectorError(
            f"cannot read detections from {path}: {error}", hint=_HINT, path=path
        ) from error
    return {name: table[name].to_numpy() for name in there}
