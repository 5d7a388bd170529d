"""Shrink labelled imagery for a machine that takes few megabytes, and unpack it there.

    python benchmarks/gpu/pack_data.py pack --data DATA [--output .gpu] [--first-mib 9]
    python benchmarks/gpu/pack_data.py unpack .gpu/data1.tar .gpu/data2.tar --output FOLDER

``DATA`` holds the folders ``urban-trees`` and ``vehicles``. Chips of trees become two WebP files
each, colours and near-infrared, and are GeoTIFFs again after unpacking; the frames of vehicles
become WebP files. Two archives, since a call to the machine takes few: the first has the tables,
the vehicles, and as many chips as fit.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

_COLOURS, _NEAR_INFRARED, _FRAMES = 83, 80, 82  # WebP qualities

Member = tuple[str, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("archives", type=Path, nargs="*")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(".gpu"))
    parser.add_argument("--first-mib", type=float, default=9.0)
    options = parser.parse_args()
    if options.action == "pack":
        pack(options.data, options.output, first_mib=options.first_mib)
    else:
        unpack(options.archives, options.output)


def pack(data: Path, output: Path, *, first_mib: float) -> None:
    """Write ``data1.tar`` and ``data2.tar``."""
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / "data1.tar", output / "data2.tar"]
    with tarfile.open(paths[0], "w") as first, tarfile.open(paths[1], "w") as second:
        used = 0
        for name, content in _members(data):
            used += len(content) + 512
            tar = first if used < first_mib * 2**20 else second
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    print(", ".join(f"{path}: {path.stat().st_size / 2**20:.1f} MiB" for path in paths))


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


def unpack(archives: list[Path], output: Path) -> None:
    """Unpack the archives, and make GeoTIFFs of the chips of trees, 0.6 m per pixel."""
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(output, filter="data")
    colours = sorted(output.glob("urban-trees/images/*.rgb.webp"))
    with ProcessPoolExecutor() as pool:
        done = sum(pool.map(_restore_chip, colours, chunksize=16))
    print(f"{done} chips of trees, {len(list(output.glob('vehicles/*.webp')))} frames of vehicles")


def _restore_chip(colours: Path) -> int:
    stem = colours.name.removesuffix(".rgb.webp")
    near = colours.with_name(f"{stem}.nir.webp")
    with Image.open(colours) as rgb, Image.open(near) as grey:
        pixels = np.concatenate(
            [np.asarray(rgb).transpose(2, 0, 1), np.asarray(grey.convert("L"))[None]]
        )
    bands, height, width = pixels.shape
    transform = rasterio.Affine(0.6, 0, 500_000, 0, -0.6, 4_000_000)
    profile = {"driver": "GTiff", "dtype": "uint8", "crs": "EPSG:26911", "transform": transform}
    path = colours.with_name(f"{stem}.tif")
    with rasterio.open(path, "w", count=bands, height=height, width=width, **profile) as file:
        file.write(pixels)
    colours.unlink()
    near.unlink()
    return 1


if __name__ == "__main__":
    main()
