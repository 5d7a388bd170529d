"""Boxes and points as a Mapbox vector tile, encoded for all objects at once.

Reference:
    Vector tile specification 2.1, https://github.com/mapbox/vector-tile-spec, and the encoding of
    protocol buffers, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints

__all__ = ["EXTENT", "TileLayer", "encode_tile"]

EXTENT = 4096
"""Units along the side of a tile."""

_Bytes = NDArray[np.uint8]

_POINT, _POLYGON = 1, 3
_MOVE, _LINE_TO_THREE, _CLOSE = 9, 26, 15  # commands with their counts: 1, 3 and 1
# Field numbers and wire types, as protocol buffers encode them.
_LAYER, _VERSION, _NAME, _FEATURE, _KEY, _VALUE, _EXTENT = 0x1A, 0x78, 0x0A, 0x12, 0x1A, 0x22, 0x28
_ID, _TAGS, _TYPE, _GEOMETRY = 0x08, 0x12, 0x18, 0x22
_DOUBLE = 0x19  # of a value


@dataclass(frozen=True, slots=True)
class TileLayer:
    """N objects of a tile."""

    name: str
    """The layer's name."""
    ids: Ints
    """(N,) not negative."""
    coordinates: Floats
    """(N, 1, 2) points or (N, 4, 2) rings of corners, clockwise on the screen, in units of the
    tile."""
    values: Mapping[str, Floats]
    """(N,) numbers by attribute."""


def encode_tile(layers: Sequence[TileLayer]) -> bytes:
    """Return a tile; layers without objects are left out.

    Numbers are stored as doubles, each once, so that a browser compares the very numbers.
    """
    return b"".join(_field(_LAYER, _encode_layer(layer)) for layer in layers if len(layer.ids))


def _encode_layer(layer: TileLayer) -> bytes:
    tags, values = _number_values(layer.values)
    head = bytes([_VERSION, 2]) + _field(_NAME, layer.name.encode())
    keys = b"".join(_field(_KEY, key.encode()) for key in layer.values)
    features = _encode_features(layer, tags)
    return head + features + keys + _encode_values(values) + bytes([_EXTENT]) + _varint(EXTENT)


def _encode_values(values: Floats) -> bytes:
    """Encode each number as a double, in 11 bytes."""
    rows = np.empty((len(values), 11), np.uint8)
    rows[:, :3] = _VALUE, 9, _DOUBLE
    rows[:, 3:] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    return rows.tobytes()


def _number_values(columns: Mapping[str, Floats]) -> tuple[Ints, Floats]:
    """Return pairs of a key's and a value's number (N, 2 K), and the values."""
    tags: list[Any] = []
    known: list[Floats] = []
    count = 0
    for number, column in enumerate(columns.values()):
        distinct, rows = np.unique(column, return_inverse=True)
        tags += [np.full(len(rows), number), rows + count]
        known.append(distinct)
        count += len(distinct)
    return np.stack(tags, axis=1), np.concatenate(known)


def _encode_features(layer: TileLayer, tags: Ints) -> bytes:
    count, corners, _ = layer.coordinates.shape
    kind = _POINT if corners == 1 else _POLYGON
    tag_bytes, tag_sizes = _packed(tags)
    shape_bytes, shape_sizes = _packed(_commands(layer.coordinates))
    id_bytes, id_sizes = _packed(layer.ids[:, None])
    sizes = [_packed(one[:, None]) for one in (tag_sizes, shape_sizes)]
    parts = [
        _repeated([_ID], count), (id_bytes, id_sizes),
        _repeated([_TAGS], count), sizes[0], (tag_bytes, tag_sizes),
        _repeated([_TYPE, kind, _GEOMETRY], count), sizes[1], (shape_bytes, shape_sizes),
    ]  # fmt: skip
    length = np.sum([size for _, size in parts], axis=0)
    framed = [_repeated([_FEATURE], count), _packed(length[:, None]), *parts]
    return _interleaved(framed).tobytes()


def _commands(coordinates: Floats) -> Ints:
    """Return the commands that draw each object, and their parameters: (N, P)."""
    at = np.rint(coordinates).astype(np.int64)
    steps = _zigzag(np.diff(at, axis=1, prepend=0))  # the first from the tile's corner
    count, corners, _ = at.shape
    columns = [np.full((count, 1), _MOVE), steps[:, 0]]
    if corners > 1:
        columns += [np.full((count, 1), _LINE_TO_THREE), steps[:, 1:].reshape(count, -1)]
        columns += [np.full((count, 1), _CLOSE)]
    return np.concatenate(columns, axis=1)


def _zigzag(numbers: Ints) -> Ints:
    """Map 0, -1, 1, -2, 2 to 0, 1, 2, 3, 4."""
    return np.where(numbers >= 0, numbers << 1, (-numbers << 1) - 1)


def _packed(numbers: Ints) -> tuple[_Bytes, Ints]:
    """Encode rows of numbers (N, P) as varints: all bytes, and the number of bytes of each row."""
    rows = numbers.shape[0]
    flat = numbers.reshape(-1).astype(np.uint64)
    most = max(int(flat.max(initial=1)).bit_length(), 1)
    groups = -(-most // 7)
    shifts = np.arange(groups, dtype=np.uint64) * np.uint64(7)
    septets = flat[:, None] >> shifts
    is_used = septets > 0
    is_used[:, 0] = True
    has_more = np.zeros_like(is_used)
    has_more[:, :-1] = is_used[:, 1:]
    octets = ((septets & np.uint64(127)) | (has_more.astype(np.uint64) << np.uint64(7))).astype(
        np.uint8
    )
    sizes = is_used.sum(axis=1).reshape(rows, -1).sum(axis=1)
    return octets[is_used], sizes


def _repeated(octets: Sequence[int], count: int) -> tuple[_Bytes, Ints]:
    return np.tile(np.array(octets, np.uint8), count), np.full(count, len(octets))


def _interleaved(parts: Sequence[tuple[_Bytes, Ints]]) -> _Bytes:
    """Join the bytes of parts row by row: row 0 of each part, then row 1."""
    sizes = np.stack([size for _, size in parts], axis=1)  # (N, P)
    starts = np.concatenate([[0], np.cumsum(sizes.reshape(-1))[:-1]]).reshape(sizes.shape)
    joined = np.empty(int(sizes.sum()), np.uint8)
    for number, (octets, size) in enumerate(parts):
        before = np.concatenate([[0], np.cumsum(size)[:-1]])
        place = np.repeat(starts[:, number] - before, size) + np.arange(len(octets))
        joined[place] = octets
    return joined


def _varint(number: int) -> bytes:
    octets, _ = _packed(np.array([[number]]))
    return octets.tobytes()


def _field(key: int, content: bytes) -> bytes:
    return bytes([key]) + _varint(len(content)) + content
