"""Read the metadata of a file of detections: how it was made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import shapely

from geodet.documents.json_documents import parse_json
from geodet.documents.text import DocumentError
from geodet.files.gdal_paths import PARQUET_SUFFIXES, gdal_path
from geodet.vector.formats import LAYER_SEPARATOR, dataset_files
from geodet.vector.lazy_modules import parquet, pyarrow, pyogrio
from geodet.vector.rows import LAYER

__all__ = [
    "ACCURACY",
    "EXAMINED",
    "LEFT_OUT",
    "THRESHOLDS",
    "read_examined_ground",
    "read_provenance",
]

ACCURACY = "accuracy"
"""The title of precision and recall at the threshold in use, as JSON."""
EXAMINED = "examined ground"
"""The title of the ground that was searched, as WKT."""
LEFT_OUT = "scenes left out"
"""The title of the scenes that could not be read, each with the reason."""
THRESHOLDS = "thresholds"
"""The title of the score and IoU thresholds in use, as JSON."""

_GEOJSON = (".geojson", ".json")
_LONGEST_LINE = 64 << 20  # bytes of metadata in a GeoJSON file
_METADATA, _HEAD = '"metadata":', 20  # of which each is on a line of its own
_FOREIGN = ("geo", "ARROW:schema", "pandas")  # keys that other programs write


def read_provenance(path: str | Path) -> Mapping[str, str]:
    """Read the metadata of a layer of detections: software, model, settings, by title.

    Args:
        path: A file, or ``FILE|layername=NAME``.

    Returns:
        The texts; empty where the format has no metadata, or another program wrote the file.
    """
    file, _, named = str(path).partition(LAYER_SEPARATOR)
    try:
        parts = dataset_files(Path(file))
        if parts:  # each has the same
            file = str(Path(file, parts[0]))
        if file.lower().endswith(PARQUET_SUFFIXES):
            found = parquet.read_metadata(file).metadata or {}
            texts = {key.decode(): value.decode() for key, value in found.items()}
            return {key: text for key, text in texts.items() if key not in _FOREIGN}
        if file.lower().endswith(_GEOJSON):
            return _read_geojson(file)
        layers = pyogrio.list_layers(gdal_path(file))[:, 0].tolist()
        layer = named or (LAYER if LAYER in layers else layers[0])
        return pyogrio.read_info(gdal_path(file), layer=layer)["layer_metadata"] or {}
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        OSError,
        IndexError,
        pyarrow.ArrowException,
    ):
        return {}  # reading the objects reports what is wrong
    except (DocumentError, UnicodeError):
        return {}


def _read_geojson(file: str) -> dict[str, str]:
    """Read the member ``metadata``, which GDAL writes on a line before the features.

    Without the examined ground: it is in the CRS of the run, and the file is in WGS 84.
    """
    with Path(file).open(encoding="utf-8") as lines:
        for _ in range(_HEAD):
            line = lines.readline(_LONGEST_LINE)
            if line.startswith(_METADATA):
                found = parse_json(line.removeprefix(_METADATA).strip().rstrip(","))
                texts = found.items() if isinstance(found, dict) else ()
                return {k: text for k, text in texts if isinstance(text, str) and k != EXAMINED}
            if not line or line.startswith('"features"'):
                break
    return {}


def read_examined_ground(path: str | Path) -> shapely.Geometry | None:
    """Read the ground that was searched for the objects of a file, in its CRS.

    Returns:
        A polygon or several, of appended runs, too; None where the file does not name it.
    """
    runs = re.compile(rf"{EXAMINED}( \d+)?")
    texts = [text for title, text in read_provenance(path).items() if runs.fullmatch(title)]
    areas = [area for area in shapely.from_wkt(texts, on_invalid="ignore") if area is not None]
    return shapely.union_all(areas) if areas else None
