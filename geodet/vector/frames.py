"""Detections in memory, as a table of Arrow or a frame of geopandas."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from geodet.geometry.arrays import Floats
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.arrow_rows import arrow_types, to_arrow
from geodet.vector.lazy_modules import geopandas, pyarrow
from geodet.vector.rows import ID, VectorLayer, crs_text, to_rows

__all__ = ["object_ids", "to_frame", "to_table"]

_GEOMETRY = "geometry"
_STEPS_PER_PX = 2
_HEX_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8).astype(np.uint32)


def object_ids(part: SceneDetections, classes: Sequence[str], salt: str) -> NDArray[np.str_]:
    """Compute a stable identifier of each detection of a scene.

    The identifier is a 64-bit hash of the salt, the scene's name, the name of the class and the
    four sides of the box in steps of half a pixel. The steps are there because the size of a batch,
    which depends on the memory, may change the last digits of a box; only a box with a side between
    two steps has another identifier then. Where boxes of one class share all steps, which
    suppression leaves of tiny boxes alone, the order of their exact sides tells them apart. Nothing
    else counts: not the order of the detections, the score or the output's CRS. It is made for
    comparing runs, and is no protection against forgery.

    Args:
        part: The detections of a scene, in its pixels.
        classes: Names of the classes, by label.
        salt: The model and the settings, as a text.

    Returns:
        (N,) texts of 16 hexadecimal digits.

    Reference:
        The mixing function is SplitMix64's: Steele, Lea and Flood 2014, "Fast splittable
        pseudorandom number generators", doi:10.1145/2660193.2660195, figure 14.
    """
    found = part.detections
    names = np.array([_hash_of_texts(salt, part.scene, name) for name in classes], np.uint64)
    hashes = names[found.labels]
    for side in np.rint(found.boxes * _STEPS_PER_PX).astype(np.int64).T:
        hashes = _mixed(hashes ^ np.ascontiguousarray(side).view(np.uint64))
    return _to_hex(_told_apart(hashes, found.boxes))


def to_table(part: SceneDetections, layer: VectorLayer) -> pyarrow.Table:
    """Return the detections of a scene as a table of Arrow.

    The columns are ``id``, the fields of the output files, and ``geometry`` in WKB, marked as
    ``geoarrow.wkb``, so that ``geopandas.GeoDataFrame.from_arrow(table)`` and others read it.

    Args:
        part: The detections of a scene, or of a part of it.
        layer: Properties of the layer; see :func:`object_ids` for the salt.

    Raises:
        OutputError: A box lies where the CRS of the layer is not defined.
    """
    batch = to_arrow(to_rows(part, layer), _GEOMETRY)
    ids = pyarrow.array(object_ids(part, layer.classes, layer.salt), pyarrow.string())
    return pyarrow.table([ids, *batch.columns], schema=_schema(layer.crs, layer.fields))


def to_frame(parts: Iterable[SceneDetections], layer: VectorLayer) -> geopandas.GeoDataFrame:
    """Return the detections of scenes as one frame of geopandas.

    Args:
        parts: The detections of scenes, in any number of parts, also none.
        layer: As for :func:`to_table`.

    Returns:
        A frame with the columns of :func:`to_table`, in the order of the parts; without objects it
        is empty and has the same columns and types.

    Raises:
        OutputError: A box lies where the CRS of the layer is not defined.
    """
    tables = [to_table(part, layer) for part in parts if len(part.detections)]
    empty = _schema(layer.crs, layer.fields).empty_table()
    table = pyarrow.concat_tables(tables) if tables else empty
    frame = geopandas.GeoDataFrame.from_arrow(table)
    if layer.crs is None:
        return frame
    # By its code, if it has one: users who print the CRS expect EPSG:32633, not its WKT.
    return frame.set_crs(CRS.from_user_input(crs_text(layer.crs)), allow_override=True)


def _hash_of_texts(*texts: str) -> int:
    """Hash texts to 64 bits; their boundaries count."""
    text = json.dumps(texts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _told_apart(hashes: NDArray[np.uint64], boxes: Floats) -> NDArray[np.uint64]:
    """Number equal hashes in the order of their boxes, and mix the numbers in."""
    order = np.lexsort((*boxes.T, hashes))
    ranked = hashes[order]
    is_repeated = np.concatenate([[False], ranked[1:] == ranked[:-1]])
    if not is_repeated.any():
        return hashes
    rows = np.arange(len(ranked))
    number = rows - np.maximum.accumulate(np.where(is_repeated, 0, rows))
    apart = hashes.copy()
    apart[order] = np.where(is_repeated, _mixed(ranked ^ number.astype(np.uint64)), ranked)
    return apart


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of integers: one to one, and each bit changes half of all."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _to_hex(values: NDArray[np.uint64]) -> NDArray[np.str_]:
    """Write integers as 16 digits: (N,)."""
    shifts = np.arange(60, -1, -4, dtype=np.uint64)
    digits = _HEX_DIGITS[(values[:, None] >> shifts) & np.uint64(15)]
    texts: NDArray[np.str_] = digits.view("U16").reshape(len(values))
    return texts


def _schema(crs: CRS | None, fields: Sequence[str]) -> pyarrow.Schema:
    """Return the columns of a table, with the CRS as GeoArrow marks it."""
    about = {} if crs is None else {"crs": crs.to_json_dict(), "crs_type": "projjson"}
    marks = {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": json.dumps(about)}
    shapes = pyarrow.field(_GEOMETRY, pyarrow.binary(), metadata=marks)
    types = arrow_types(fields)
    return pyarrow.schema([(ID, pyarrow.string()), *types.items(), shapes])
