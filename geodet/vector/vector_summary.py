"""Summarise a vector file: its objects, and how they were made, for ``geodet info trees.gpkg``."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from pyproj.exceptions import CRSError

from geodet.errors import VectorError
from geodet.files.gdal_paths import PARQUET_SUFFIXES, gdal_path
from geodet.files.spreadsheet_text import plain_text
from geodet.geometry.arrays import Floats
from geodet.geometry.ground_area import ground_areas
from geodet.vector.formats import LAYER_SEPARATOR, check_vector_exists, dataset_files, path_of
from geodet.vector.lazy_modules import compute, parquet, pyarrow
from geodet.vector.not_examined import NOT_EXAMINED, not_examined_path
from geodet.vector.provenance import EXAMINED, read_examined_ground, read_provenance
from geodet.vector.rows import LAYER, crs_text
from geodet.vector.unread_files import unreadable_vector
from geodet.vector.vector_files import choose_encoding, crs_or_none

__all__ = ["VectorSummary", "by_title", "is_vector", "summarise_vector"]

_ENDS = (
    *(".gpkg", ".fgb", ".shp", ".kml", ".gdb", ".geojsonl", ".geojsons", ".ndjson"),
    *PARQUET_SUFFIXES,
)
_MAYBE_LABELS = (".geojson", ".json", ".csv")
"""Files that label several images have these endings, too."""
_OBJECTS = ("label", "score", "scene")
_KML_LABEL = "Name"  # of KML, which geodet writes the class to
_CRS = "crs"  # the column of a table of text that has it
_NUMBERED = re.compile(r"(.*) \d+")


@dataclass(frozen=True, slots=True)
class VectorSummary:
    """The objects of a vector file, and the model and settings that found them.

    Example:
        >>> trees = geodet.detect(scene, output=folder / "trees.gpkg")
        >>> geodet.info(folder / "trees.gpkg").classes == {"tree": len(trees)}
        True
    """

    path: str
    """The file."""
    format: str
    """Its format, as GDAL names it."""
    objects: int
    """Number of objects."""
    crs: str | None
    """Code or WKT of the CRS; None if the file has none."""
    fields: tuple[str, ...]
    """Names of the attributes."""
    classes: dict[str, int]
    """Objects by class; empty where the file has no ``label``."""
    scenes: dict[str, int]
    """Objects by scene; empty where the file has no ``scene``."""
    scores: tuple[float, float, float] | None
    """Lowest score, median and highest score; None where there are none."""
    made_by: dict[str, tuple[Any, ...]]
    """Software, model, settings, accuracy and failed scenes by title, of each run that wrote to the
    file; empty where geodet did not write it."""
    examined_ha: float | None
    """Hectares that were searched; None where the file does not name the ground."""
    not_examined: int
    """Areas that could not be read, or were not computed."""


def is_vector(path: str) -> bool:
    """Whether a path is that of a vector file and not of a raster or of labels of images."""
    file = path_of(path).lower()
    if LAYER_SEPARATOR in path:
        return True
    if file.endswith(".gpkg"):
        return bool(_layers(path))  # a GeoPackage may hold a raster
    if file.endswith(_MAYBE_LABELS):
        return Path(path).is_file() and _has_objects(path)
    return file.endswith(_ENDS) or bool(dataset_files(Path(path)))


def summarise_vector(path: str | Path) -> VectorSummary:
    """Count the objects of a vector file, and read what made them.

    Args:
        path: A file, or ``FILE|layername=NAME``.

    Raises:
        VectorError: The file cannot be read, or it has several layers and none is named.
    """
    check_vector_exists(path)
    try:
        about = _read_head(path)
        counts, scores = _count(_iter_batches(path, about))
    except VectorError:
        raise
    except (DataSourceError, DataLayerError, OSError, pyarrow.ArrowException) as error:
        raise unreadable_vector(path, str(error)) from error
    middle = (scores.min(), np.median(scores), scores.max()) if len(scores) else None
    return VectorSummary(
        path=str(path),
        format=about.format,
        objects=about.objects,
        crs=next(iter(counts[_CRS]), None if about.crs is None else crs_text(about.crs)),
        fields=about.fields,
        classes=counts["label"],
        scenes=counts["scene"],
        scores=middle and (float(middle[0]), float(middle[1]), float(middle[2])),
        made_by=by_title(read_provenance(path)),
        examined_ha=_examined_ha(path, about.crs),
        not_examined=_count_not_examined(path),
    )


@dataclass(frozen=True, slots=True)
class _Head:
    """The description of a layer, without its rows."""

    format: str
    layer: str | None
    objects: int
    crs: CRS | None
    fields: tuple[str, ...]


def _read_head(path: str | Path) -> _Head:
    file = path_of(path)
    if files := _parquet_files(file):
        rows = sum(parquet.read_metadata(one).num_rows for one in files)
        with parquet.ParquetFile(files[0]) as table:
            crs, names = _parquet_crs(table.metadata.metadata or {}), table.schema_arrow.names
        return _Head("Parquet", None, rows, crs, tuple(names))
    layer = _choose_layer(path)
    info = pyogrio.read_info(gdal_path(file), layer=layer, force_feature_count=True)
    fields = tuple(map(str, info["fields"]))
    crs = crs_or_none(info["crs"])
    return _Head(info["driver"], layer, int(info["features"]), crs, fields)


def _parquet_files(file: str) -> list[str]:
    """List the file, or the files of a data set; none where it is not GeoParquet."""
    if file.lower().endswith(PARQUET_SUFFIXES):
        return [file]
    return [str(Path(file, name)) for name in sorted(dataset_files(Path(file)))]


def _choose_layer(path: str | Path) -> str:
    named = str(path).partition(LAYER_SEPARATOR)[2]
    layers = [name for name in _layers(path) if name != NOT_EXAMINED]
    if named or LAYER in layers or len(layers) == 1:
        return named or (LAYER if LAYER in layers else layers[0])
    if not layers:
        raise unreadable_vector(path, "it has no layer with geometries")
    raise VectorError(
        f"{path} has {len(layers)} layers: {', '.join(layers)}",
        hint=f"name one, as in '{path}{LAYER_SEPARATOR}NAME'",
        path=path,
    )


def _layers(path: str | Path) -> list[str]:
    """List the layers with geometries; none where the file holds no layer that can be read."""
    try:
        found = pyogrio.list_layers(gdal_path(path_of(path)))
    except (DataSourceError, DataLayerError):
        return []
    return [str(name) for name, kind in found if kind is not None]


def _has_objects(path: str) -> bool:
    """Whether a file has the columns of detections."""
    if read_provenance(path):
        return True
    try:
        fields = pyogrio.read_info(gdal_path(path))["fields"].tolist()
    except (DataSourceError, DataLayerError):
        return False
    return set(_OBJECTS) <= set(fields)


def _parquet_crs(about: Mapping[bytes, bytes]) -> CRS | None:
    """Read the CRS of GeoParquet, which is WGS 84 where the file has none."""
    try:
        geo = json.loads(about[b"geo"])
        stored = geo["columns"][geo["primary_column"]].get("crs", "OGC:CRS84")
        return None if stored is None else CRS.from_user_input(stored)
    except (KeyError, ValueError, TypeError, CRSError):
        return None


def _iter_batches(path: str | Path, about: _Head) -> Iterator[pyarrow.RecordBatch]:
    """Yield the labels, scores and scenes, those that the file has."""
    file = path_of(path)
    columns = (*_OBJECTS, _CRS) if about.format == "CSV" else _OBJECTS
    if "KML" in about.format and {*_OBJECTS[1:]} <= {*about.fields}:  # not a title of each place
        columns = (_KML_LABEL, *_OBJECTS[1:])
    wanted = [name for name in columns if name in about.fields]
    if not wanted:
        return
    for one in (files := _parquet_files(file)):
        with parquet.ParquetFile(one) as table:
            yield from table.iter_batches(columns=wanted)
    if files:
        return
    opened = pyogrio.raw.open_arrow(
        gdal_path(file),
        layer=about.layer,
        columns=wanted,
        encoding=choose_encoding(file),
        read_geometry=False,
        use_pyarrow=True,
    )
    with opened as (_, reader):
        for batch in reader:
            names = batch.schema.names
            yield batch.rename_columns([_OBJECTS[0] if n == _KML_LABEL else n for n in names])


def _count(batches: Iterator[pyarrow.RecordBatch]) -> tuple[dict[str, dict[str, int]], Floats]:
    """Count the objects by label and by scene, and collect the scores."""
    counts = {name: Counter[str]() for name in ("label", "scene", _CRS)}
    scores = [np.zeros(0)]
    for batch in batches:
        for name, counter in counts.items():
            if name in batch.schema.names:
                for one in compute.value_counts(batch.column(name)).to_pylist():
                    text = one["values"]
                    counter["" if text is None else plain_text(str(text))] += one["counts"]
        if "score" in batch.schema.names:
            scores.append(_to_scores(batch.column("score")))
    ordered = {name: dict(counter.most_common()) for name, counter in counts.items()}
    return ordered, np.concatenate(scores)


def _to_scores(column: pyarrow.Array) -> Floats:
    """Convert scores, which a table of text holds as text; those that are no numbers are left."""
    try:
        numbers = compute.cast(column, pyarrow.float64()).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowInvalid:
        return np.zeros(0)
    return np.asarray(numbers[np.isfinite(numbers)], np.float64)


def by_title(texts: Mapping[str, str]) -> dict[str, tuple[Any, ...]]:
    """Collect the texts of appended runs, ``model 2``, under the title of the first.

    Other programs write metadata, too, such as the date of a Shapefile: those are left out.
    """
    if not texts.get("software", "").startswith("geodet "):
        return {}
    collected: dict[str, list[Any]] = {}
    for title, text in texts.items():
        numbered = _NUMBERED.fullmatch(title)
        first = numbered[1] if numbered and numbered[1] in texts else title
        if first != EXAMINED:
            collected.setdefault(first, []).append(_parsed(text))
    return {title: tuple(values) for title, values in sorted(collected.items())}


def _parsed(text: str) -> Any:
    """Return the object that a text is in JSON, or else the text."""
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _examined_ha(path: str | Path, crs: CRS | None) -> float | None:
    ground = read_examined_ground(path)
    if ground is None or crs is None:
        return None
    (area,) = ground_areas(np.array([ground], object), crs).tolist()
    return float(area) / 1e4 if np.isfinite(area) else None


def _count_not_examined(path: str | Path) -> int:
    """Count the areas in a layer of their own, or in a file beside it."""
    file = Path(path_of(path))
    beside = not_examined_path(file)
    sources: Sequence[tuple[Path, str | None]] = [(beside, None)] if beside.exists() else []
    if NOT_EXAMINED in _layers(file):  # and beside it, what was left out of rows that came later
        sources = [*sources, (file, NOT_EXAMINED)]
    return sum(
        int(pyogrio.read_info(gdal_path(one), layer=layer, force_feature_count=True)["features"])
        for one, layer in sources
    )
