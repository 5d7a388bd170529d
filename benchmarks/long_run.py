"""What a long run holds, sampled: memory, open files, threads and temporary files must not grow.

The scene is a VRT of real chips, laid side by side and repeated up to its size; the training is on
a part of their tileset, so that it has validated once when it counts. Each run is a command in a
process of its own, which gets SIGTERM when its time is over.

    python benchmarks/long_run.py --chips TILESET/images [--minutes 20] [--what detect train]
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median

import psutil
import rasterio
from common import print_machine
from rich.console import Console
from rich.table import Table

_NAMES = ("memory, MiB", "open files", "threads", "temporary files")
_MINUTE = 60.0
Sample = tuple[float, ...]
"""Seconds since the start, then one number for each of the names."""


def main() -> None:
    """Print a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=Path, required=True, help="folder of chips of one size")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--side", type=int, default=60_000, help="pixels of the scene")
    parser.add_argument("--images", type=int, default=24, help="of the tileset, for training")
    parser.add_argument("--model", default="urban-trees", help="also the recipe of the training")
    parser.add_argument("--after", type=float, default=60, help="seconds that do not count")
    parser.add_argument("--every", type=float, default=2, help="seconds between samples")
    parser.add_argument("--what", nargs="+", default=["detect", "train"])
    parser.add_argument("--samples", type=Path, help="a CSV for all samples")
    given = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        for what in given.what:
            folder = Path(name) / what
            folder.mkdir()
            command = _COMMANDS[what](folder, given)
            samples = list(_watch(command, folder, given.minutes * 60, given.every))
            print_table(what, samples, given.after)
            if given.samples:
                _append_samples(given.samples, what, samples)


def _detect_command(folder: Path, given: argparse.Namespace) -> list[str]:
    scene = make_mosaic(folder, list_chips(given.chips), given.side)
    return ["detect", str(scene), "-o", str(folder / "out.gpkg"), "-m", given.model, "--quiet"]


def _train_command(folder: Path, given: argparse.Namespace) -> list[str]:
    data = copy_part(given.chips.parent, folder / "tileset", given.images)
    wanted = ["-o", str(folder / "out.safetensors"), "-c", given.model, "--epochs", "100000"]
    return ["train", "--data", str(data), *wanted, "--quiet"]


_COMMANDS = {"detect": _detect_command, "train": _train_command}


def list_chips(folder: Path) -> list[Path]:
    """List the chips that are as large as the first, and have as many bands."""
    found: dict[tuple[int, int, int], list[Path]] = {}
    for path in sorted(folder.iterdir()):
        with rasterio.open(path) as chip:
            found.setdefault((chip.width, chip.height, chip.count), []).append(path)
    return max(found.values(), key=len)


def make_mosaic(folder: Path, chips: Sequence[Path], side: int) -> Path:
    """Write a VRT of chips in a square, and one that repeats it; return the second."""
    with rasterio.open(chips[0]) as chip:
        size, crs, gsd = chip.width, chip.crs.to_wkt(), chip.transform.a
    across = int(len(chips) ** 0.5)
    shown = chips[: across * across]
    places = [(i % across * size, i // across * size) for i in range(len(shown))]
    square, block = folder / "square.vrt", across * size
    _write_vrt(square, block, crs, gsd, list(zip(map(str, shown), places, strict=True)), size)
    starts = range(0, side, block)
    again = [(str(square), (x, y)) for y in starts for x in starts]
    _write_vrt(folder / "scene.vrt", side, crs, gsd, again, block)
    return folder / "scene.vrt"


def _write_vrt(
    path: Path,
    side: int,
    crs: str,
    gsd: float,
    parts: Sequence[tuple[str, tuple[int, int]]],
    size: int,
) -> None:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
        + "".join(
            f"<SimpleSource><SourceFilename>{name}</SourceFilename><SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="{size}" ySize="{size}"/>'
            f'<DstRect xOff="{x}" yOff="{y}" xSize="{size}" ySize="{size}"/></SimpleSource>'
            for name, (x, y) in parts
        )
        + "</VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue"), start=1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>{crs}</SRS>'
        f"<GeoTransform>0, {gsd}, 0, 0, 0, -{gsd}</GeoTransform>{bands}</VRTDataset>",
        encoding="utf-8",
    )


def copy_part(tileset: Path, target: Path, images: int) -> Path:
    """Copy some images of a tileset, spread evenly, with the lines of its tables that name them."""
    (target / "images").mkdir(parents=True)
    every = sorted((tileset / "images").iterdir())
    chosen = every[:: max(1, len(every) // images)][:images]
    for image in chosen:
        (target / "images" / image.name).write_bytes(image.read_bytes())
    names = {image.name for image in chosen}
    for table in tileset.glob("*.csv"):
        header, *lines = table.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.partition(",")[0] in names]
        (target / table.name).write_text("\n".join([header, *kept, ""]), encoding="utf-8")
    return target


def _watch(command: list[str], folder: Path, seconds: float, every: float) -> Iterator[Sample]:
    """Start a command of geodet, yield samples of it, and end it when its time is over."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    child = subprocess.Popen([sys.executable, "-m", "geodet", *command], env=environment)
    began = time.monotonic()
    try:
        for tick in count(1):
            time.sleep(max(0.0, began + tick * every - time.monotonic()))
            passed = time.monotonic() - began
            if child.poll() is not None:
                print(f"{command[0]} has ended by itself after {passed:.0f} s: {child.returncode}")
                return
            if passed > seconds:
                return
            yield passed, *_measure(psutil.Process(child.pid)), float(_count_files(folder))
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.wait()
        left = _count_files(folder)
        print(f"{command[0]} left {left} temporary files, exit code {child.returncode}")


def _measure(parent: psutil.Process) -> Sample:
    """Return the memory, files and threads of a process and of those that it has started."""
    memory = files = threads = 0
    for process in (parent, *parent.children(recursive=True)):
        memory += process.memory_info().rss
        files += process.num_fds()
        threads += process.num_threads()
    return memory / 2**20, files, threads


def _count_files(folder: Path) -> int:
    """Count temporary files; the parts of a journal, one for each finished band, are none."""
    own = sum(1 for path in folder.glob(".geodet-*") if not path.name.endswith(".lock"))
    return own + sum(1 for _ in (folder / "tmp").rglob("*"))


def print_table(what: str, samples: Sequence[Sample], after: float) -> None:
    """Print for each quantity its medians in a first and a last minute, and its highest value."""
    last = samples[-1][0]
    table = Table(title=f"{what}, {last:.0f} s, {len(samples)} samples")
    for column in ("", f"minute from {after:.0f} s", "last minute", "ratio", "maximum", "ratio"):
        table.add_column(column, justify="right")
    for place, name in enumerate(_NAMES, start=1):
        first = median(row[place] for row in samples if after <= row[0] < after + _MINUTE)
        end = median(row[place] for row in samples if row[0] > last - _MINUTE)
        high = max(row[place] for row in samples if row[0] >= after)
        ratios = [f"{value / first:.3f}" if first else "-" for value in (end, high)]
        table.add_row(name, f"{first:.0f}", f"{end:.0f}", ratios[0], f"{high:.0f}", ratios[1])
    Console(width=100).print(table)


def _append_samples(path: Path, what: str, samples: Sequence[Sample]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(["run", "seconds", *_NAMES])
        writer.writerows([what, *map("{:.1f}".format, sample)] for sample in samples)


if __name__ == "__main__":
    main()
