"""What a file of detections says of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow
import pyogrio
from pyarrow import parquet
from pyogrio.errors import DataLayerError, DataSourceError

from geodet.vector.formats import path_of
from geodet.vector.rows import LAYER

__all__ = ["read_provenance"]

_PARQUET = (".parquet", ".geoparquet")
_FOREIGN = ("geo", "ARROW:schema", "pandas")  # keys that other programs write


def read_provenance(path: str | Path) -> Mapping[str, str]:
    """Read the metadata of a layer of detections: software, model, settings, by title.

    Returns:
        Nothing where the format holds none, or the file was written by another program.
    """
    file = path_of(path)
    try:
        if file.lower().endswith(_PARQUET):
            found = parquet.read_schema(file).metadata or {}
            texts = {key.decode(): value.decode() for key, value in found.items()}
            return {key: text for key, text in texts.items() if key not in _FOREIGN}
        layers = pyogrio.list_layers(file)[:, 0].tolist()
        layer = LAYER if LAYER in layers else layers[0]
        return pyogrio.read_info(file, layer=layer)["layer_metadata"] or {}
    except (DataSourceError, DataLayerError, OSError, IndexError, pyarrow.ArrowException):
        return {}  # whoever reads the objects says what is wrong with the file
