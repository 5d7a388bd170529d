"""Accept frames in memory where a vector file is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd

from geodet.api.call_arguments import to_path
from geodet.errors import ConfigError
from geodet.files.shown_names import naming_file
from geodet.vector.attribute_tables import AttributeLayer, write_attribute_layers

__all__ = ["FRAMES", "Vectors", "writing_frames"]

FRAMES = (gpd.GeoDataFrame, gpd.GeoSeries)
"""Objects in memory."""
Vectors: TypeAlias = str | Path | gpd.GeoDataFrame | gpd.GeoSeries
"""A vector file, or objects in memory."""


@contextmanager
def writing_frames() -> Iterator[Callable[[str, Vectors | None], Path | None]]:
    """Yield a function that returns the path of a vector file, or of a temporary copy of a frame.

    The function takes the name of the caller's argument, for messages, and its value. The copies
    are removed at the end of the block; messages call them "the frame".

    Raises:
        ConfigError: The vectors are neither a path nor a frame, or a frame without geometries.
    """
    # Windows keeps a file that is still being read when Ctrl-C ends the block.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        ExitStack() as names,
    ):

        def to_file(argument: str, vectors: Vectors | None) -> Path | None:
            if not isinstance(vectors, FRAMES):
                return to_path(argument, vectors)
            path = Path(tempfile.mkdtemp(dir=folder), f"{argument}.gpkg")
            names.enter_context(naming_file(path, "the frame"))
            write_attribute_layers(path, {argument: _to_layer(argument, vectors)})
            return path

        yield to_file


def _to_layer(argument: str, frame: Any) -> AttributeLayer:
    """Return the geometries of a frame with the attributes that a layer can hold.

    A layer has one geometry: columns of geometries other than the active one are left out. Columns
    whose names differ only in case are renamed, and values that a GeoPackage cannot hold become
    text.
    """
    if isinstance(frame, gpd.GeoSeries):
        return AttributeLayer(pd.DataFrame(index=frame.index), frame.to_numpy(), frame.crs)
    if frame.active_geometry_name is None:
        if len(frame):
            raise ConfigError(
                f"{argument} is a frame without an active geometry column",
                hint="name one with frame.set_geometry",
            )
        return AttributeLayer(pd.DataFrame(), np.zeros(0, object), None)
    table = pd.DataFrame(frame.loc[:, (frame.dtypes != "geometry").to_numpy()])
    table.columns = pd.Index(_distinct([str(name) for name in table.columns]), dtype=object)
    table = table.infer_objects()
    for name, dtype in table.dtypes.items():
        if dtype.kind not in "biufM":
            table[name] = [_to_text(value) for value in table[name]]
    return AttributeLayer(table, frame.geometry.to_numpy(), frame.crs)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names that differ even where upper and lower case are the same.

    Example:
        >>> _distinct(["Score", "score"])
        ['Score_', 'score']
    """
    found: dict[int, str] = {}
    for place in sorted(range(len(names)), key=lambda place: names[place] != names[place].lower()):
        name = names[place]
        while name.lower() in {other.lower() for other in found.values()}:
            name += "_"
        found[place] = name
    return [found[place] for place in range(len(names))]


def _to_text(value: Any) -> Any:
    """Return a value as text, unless it is a list or a dictionary, written as JSON, or missing."""
    is_kept = isinstance(value, str | list | dict | np.ndarray) or pd.isna(value)
    return value if is_kept else str(value)
