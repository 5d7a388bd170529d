"""Scenes of any size made of one painted town, on little disk and as fast to read as a real one.

A VRT of many sources costs GDAL more than the decoding. Here it is one tiled GeoTIFF whose table of
tiles names those of the town again and again: it takes the town's bytes and is decoded tile by
tile, as a file of its full size would be.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from geodet.demo.town import paint_town

__all__ = ["BLOCK", "TOWN", "make_scene", "paint_chips"]

TOWN = 2048
BLOCK = 512  # as GDAL's COG driver makes them
_GSD = 0.6
_LONG, _WIDTH, _LENGTH, _OFFSETS, _COUNTS = 4, 256, 257, 324, 325
_OPTIONS: dict[str, dict[str, Any]] = {
    "deflate": {"compress": "deflate", "predictor": 2},
    "deflate-256": {"compress": "deflate", "predictor": 2},  # tiles as geodet writes them
    "zstd": {"compress": "zstd", "predictor": 2},
    "lzw": {"compress": "lzw", "predictor": 2},
    "jpeg": {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 85},
    "none": {},
}


def make_scene(folder: Path, side: int, kind: str = "deflate") -> Path:
    """Make a scene, unless it is there.

    Args:
        folder: Where it goes.
        side: Pixels, a multiple of 2048, or 512.
        kind: How the pixels are compressed: deflate, zstd, lzw, jpeg or none.
    """
    path = folder / f"scene_{side}_{kind}.tif"
    if not path.exists():
        size = min(TOWN, side)
        town = folder / f"town_{size}_{kind}.tif"
        if not town.exists():
            _write_town(folder, town, size, kind)
        path.write_bytes(_repeated(town.read_bytes(), size, _block(size, kind), side))
    return path


def paint_chips(folder: Path, count: int, side: int) -> NDArray[np.uint8]:
    """Cut chips of a painted town, each from another place: (N, 3, S, S)."""
    size = TOWN if side >= TOWN // 4 else TOWN // 4
    town = _town(folder, size)
    shifts = np.random.default_rng(0).integers(0, size, (count, 2))
    tiles = -(-side // size)
    large = np.tile(town, (1, tiles, tiles))[:, :side, :side]
    return np.stack([np.roll(large, shift, axis=(1, 2)) for shift in shifts])


def _town(folder: Path, size: int) -> NDArray[np.uint8]:
    path = folder / f"town_{size}.npy"
    if not path.exists():
        np.save(path, paint_town(size, size, seed=7, gsd=_GSD).pixels)
    pixels: NDArray[np.uint8] = np.load(path)
    return pixels


def _write_town(folder: Path, path: Path, size: int, kind: str) -> None:
    block = _block(size, kind)
    profile = {
        "driver": "GTiff",
        **{"count": 3, "width": size, "height": size, "dtype": "uint8", "crs": "EPSG:32633"},
        **{
            "tiled": True,
            "blockxsize": block,
            "blockysize": block,
            "interleave": "pixel",
        },
        "transform": Affine(_GSD, 0, 447_000, 0, -_GSD, 5_411_000),
        "photometric": "rgb",
    }
    with rasterio.open(path, "w", **profile | _OPTIONS[kind]) as raster:
        raster.write(_town(folder, size))


def _block(size: int, kind: str) -> int:
    return min(
        256 if kind.endswith("256") else BLOCK, size // 2
    )  # of one tile there would be no table


def _repeated(town: bytes, size: int, block: int, side: int) -> bytes:
    """Return the town's file with another size and table of tiles; TIFF 6.0, section 15."""
    assert town[:4] == b"II*\0"
    (start,) = struct.unpack_from("<I", town, 4)
    (count,) = struct.unpack_from("<H", town, start)
    entries = [struct.unpack_from("<HHII", town, start + 2 + 12 * i) for i in range(count)]
    across, whole = size // block, side // block
    rows, columns = np.indices((whole, whole)) % across
    tables = {}
    for tag, kind, number, place in entries:
        if tag in (_OFFSETS, _COUNTS):
            own = np.frombuffer(town, "<u2" if kind == 3 else "<u4", number, place)
            tables[tag] = own[(rows * across + columns).ravel()].astype("<u4").tobytes()
    end = len(town) + len(town) % 2
    places = {_OFFSETS: end, _COUNTS: end + len(tables[_OFFSETS])}
    changed = {_WIDTH: (_LONG, 1, side), _LENGTH: (_LONG, 1, side)}
    changed |= {tag: (_LONG, whole**2, place) for tag, place in places.items()}
    directory = struct.pack("<H", count)
    for tag, kind, number, place in entries:
        directory += struct.pack("<HHII", tag, *changed.get(tag, (kind, number, place)))
    after = places[_COUNTS] + len(tables[_COUNTS])
    header = town[:4] + struct.pack("<I", after)
    body = town[8:] + b"\0" * (len(town) % 2) + tables[_OFFSETS] + tables[_COUNTS]
    return header + body + directory + struct.pack("<I", 0)
