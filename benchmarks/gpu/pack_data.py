"""Shrink labelled imagery for a machine that takes few megabytes, and read it there.

    python benchmarks/gpu/pack_data.py --data DATA [--output .gpu] [--first-mib 9]
    python benchmarks/gpu/pack_data.py --data DATA --thermal [--output .gpu]

``DATA`` holds the folders ``urban-trees`` and ``vehicles``. Chips of trees become two WebP files
each, colours and near-infrared; frames of vehicles become one. There are two archives, since a call
to the machine takes few: the first has the tables, the vehicles, and as many chips as fit. The
frames of ``thermal`` go into an archive of their own, with a table of their boxes.
"""

from __future__ import annotations

import argparse
import csv
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from geodet.config.recipes import resolve_config
from geodet.tilesets.tileset import read_tileset

__all__ = ["BOXES", "decode_chip", "decode_frame", "read_archives"]

BOXES = "thermal/boxes.csv"
_COLOURS, _NEAR_INFRARED, _FRAMES, _THERMAL = 83, 80, 82, 90  # WebP qualities

Member = tuple[str, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(".gpu"))
    parser.add_argument("--first-mib", type=float, default=9.0)
    parser.add_argument("--thermal", action="store_true")
    options = parser.parse_args()
    if options.thermal:
        pack_thermal(options.data / "thermal", options.output)
        return
    pack(options.data, options.output, first_mib=options.first_mib)


def pack(data: Path, output: Path, *, first_mib: float) -> None:
    """Write ``data1.tar`` and ``data2.tar``."""
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / "data1.tar", output / "data2.tar"]
    with tarfile.open(paths[0], "w") as first, tarfile.open(paths[1], "w") as second:
        used = 0
        for name, content in _members(data):
            used += len(content) + 512
            _add(first if used < first_mib * 2**20 else second, name, content)
    print(", ".join(f"{path}: {path.stat().st_size / 2**20:.1f} MiB" for path in paths))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def pack_thermal(data: Path, output: Path) -> None:
    """Write ``thermal.tar``: the frames, and a row for each box; class -1 is a region to ignore."""
    output.mkdir(parents=True, exist_ok=True)
    tileset = read_tileset(data, resolve_config("thermal").data)
    with tarfile.open(output / "thermal.tar", "w") as tar:
        rows = io.StringIO()
        table = csv.writer(rows)
        table.writerow(tileset.classes)
        for image in tileset.images:
            common = (image.path.stem, image.split)
            for box, label in zip(image.boxes.tolist(), image.labels.tolist(), strict=True):
                table.writerow([*common, label, *box])
            for box in image.ignored.tolist():
                table.writerow([*common, -1, *box])
            with Image.open(image.path) as frame:
                content = _encode(frame.convert("RGB"), _THERMAL)
            _add(tar, f"thermal/{image.split}/{image.path.stem}.webp", content)
        _add(tar, BOXES, rows.getvalue().encode())
    print(f"thermal.tar: {(output / 'thermal.tar').stat().st_size / 2**20:.1f} MiB")


def _members(data: Path) -> Iterator[Member]:
    for path in [*data.glob("urban-trees/*.csv"), *data.glob("vehicles/*.txt")]:
        yield path.relative_to(data).as_posix(), path.read_bytes()
    frames = sorted(data.glob("vehicles/*.png"))
    chips = sorted(data.glob("urban-trees/images/*.tif"))
    with ProcessPoolExecutor(2) as pool:
        for path, (content,) in zip(frames, pool.map(_shrink_frame, frames), strict=True):
            yield f"vehicles/{path.stem}.webp", content
        for path, parts in zip(chips, pool.map(_shrink_chip, chips, chunksize=16), strict=True):
            for kind, content in zip(("rgb", "nir"), parts, strict=True):
                yield f"urban-trees/images/{path.stem}.{kind}.webp", content


def _shrink_frame(path: Path) -> tuple[bytes]:
    with Image.open(path) as image:
        return (_encode(image.convert("RGB"), _FRAMES),)


def _shrink_chip(path: Path) -> tuple[bytes, bytes]:
    with rasterio.open(path) as chip:
        pixels = chip.read()
    colours = Image.fromarray(np.ascontiguousarray(pixels[:3].transpose(1, 2, 0)))
    grey = Image.fromarray(pixels[3]).convert("RGB")
    return _encode(colours, _COLOURS), _encode(grey, _NEAR_INFRARED)


def _encode(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=quality, method=4)
    return buffer.getvalue()


def read_archives(archives: list[Path]) -> dict[str, bytes]:
    """Return the content of all files in the archives by name."""
    found: dict[str, bytes] = {}
    for archive in archives:
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None, member.name
                found[member.name] = content.read()
    return found


def decode_frame(content: bytes) -> NDArray[np.uint8]:
    """Decode a frame of vehicles: (3, H, W)."""
    with Image.open(io.BytesIO(content)) as image:
        return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def decode_chip(parts: tuple[bytes, bytes]) -> NDArray[np.uint8]:
    """Decode the two parts of a chip of trees: (4, 256, 256)."""
    colours, grey = (decode_frame(part) for part in parts)
    return np.concatenate([colours, grey[:1]])


if __name__ == "__main__":
    main()
