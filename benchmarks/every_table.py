"""Run the benchmarks one after another and keep what each prints: for a night.

A table that is there is not made again, so the same command goes on after an interruption; remove
its file to repeat it. The environments of the peers take 6 GB each; they are made where
--environments names a folder, and what is there is used again.

    python benchmarks/every_table.py --folder FOLDER [--environments FOLDER] [--only NAME ...] \
        [--quick]

--quick runs each table at its smallest size, to see that none is broken; its figures mean nothing.
Those that have one size only, and the peers, are left out of it; what takes five minutes fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).parent
TABLES = {
    "starting": ("starting.py",),
    "throughput": ("throughput.py", "--side", "8192"),
    "precisions": ("precisions.py",),
    "precisions_memory": ("precisions.py", "--memory", "--side", "8192"),
    "memory": ("memory.py", "--sides", "4096", "16384", "40960"),
    "onnx_speed": ("onnx_speed.py",),
    "fusing": ("fusing.py",),
    "compiled": ("compiled.py",),
    "agreement": ("agreement.py",),
    "values": ("values.py",),
    "merging": ("merging.py",),
    "merge_speed": ("merge_speed.py",),
    "joining": ("joining.py", "--counts", "1000000", "10000000", "--scenes", "3000"),
    "geoparquet": ("geoparquet.py",),
    "remote": ("remote.py",),
    "looking": ("looking.py",),
    "writing": ("writing.py",),
    "evaluation": ("evaluation.py",),
    "scoring": ("scoring.py",),
    "lanes": ("lanes.py",),
    "training": ("training.py",),
    "ablations": ("ablations.py",),
    "variants": ("variants.py",),
    "peers": ("peers.py", "--repeats", "3"),
}
QUICK = {
    "starting": ("starting.py", "--repeats", "1"),
    "throughput": ("throughput.py", "--side", "2048", "--repeats", "1"),
    "precisions": ("precisions.py", "--side", "2048", "--repeats", "1"),
    "precisions_memory": ("precisions.py", "--memory", "--side", "2048"),
    "memory": ("memory.py", "--sides", "2048"),
    "onnx_speed": ("onnx_speed.py", "--side", "64", "--batch", "1", "--rounds", "1"),
    "compiled": ("compiled.py", "--side", "64", "--rounds", "1"),
    "agreement": ("agreement.py", "--side", "2048", "--overlaps", "64"),
    "merge_speed": ("merge_speed.py", "--counts", "1000", "--crowd", "1000"),
    "joining": ("joining.py", "--counts", "1000", "--scenes", "4"),
    "geoparquet": ("geoparquet.py", "--counts", "1000"),
    "remote": ("remote.py", "--side", "2048", "--repeats", "1", "--ways", "read"),
    "looking": ("looking.py", "--count", "1000", "--side", "2048"),
    "writing": ("writing.py", "--count", "1000", "--runs", "1"),
    "evaluation": ("evaluation.py", "--count", "1000"),
    "training": ("training.py", "--chips", "8", "--epochs", "2"),
}
"""The smallest size of each table that has one; the others have one size, which takes long."""
_QUICK_LIMIT = 300.0  # seconds
PEERS = {
    "sahi": ("sahi", "torch", "torchvision", f"{HERE.parent}[onnx]"),
    "geodeep": ("geodeep",),
    "deepforest": ("deepforest",),
}
"""Packages of each environment; geodet's own network is exported in the first."""


def main() -> None:
    options = _parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    pythons = _make_environments(options.environments) if options.environments else {}
    failed = []
    tables = QUICK if options.quick else TABLES
    for name in options.only or tables:
        words = list(tables[name])
        if name == "peers":
            words += [word for peer, path in pythons.items() for word in (f"--{peer}-python", path)]
        limit = _QUICK_LIMIT if options.quick else None
        if not _make_table(options.folder / f"{name}.txt", words, limit=limit):
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all tables are there")
    sys.exit(bool(failed))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--environments", type=Path)
    parser.add_argument("--only", nargs="*", choices=sorted(TABLES), default=[])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick and (missing := sorted(set(options.only) - set(QUICK))):
        parser.error(f"no quick form of {', '.join(missing)}")
    return options


def _make_environments(folder: Path) -> dict[str, str]:
    """Make the environments that are missing, and return the python of each."""
    pythons = {}
    for peer, packages in PEERS.items():
        python = folder / peer / "bin" / "python"
        if not python.is_file():
            venv.create(folder / peer, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        pythons[peer] = str(python)
    return pythons


def _make_table(path: Path, words: list[str], *, limit: float | None = None) -> bool:
    """Run a benchmark, unless its table is there; return whether it is."""
    if path.is_file():
        print(f"{path.stem}: is there")
        return True
    unfinished = path.with_suffix(".unfinished")
    started = time.monotonic()
    with unfinished.open("w", encoding="utf-8") as file:
        command = [sys.executable, str(HERE / words[0]), *words[1:]]
        try:
            subprocess.run(
                command, check=True, stdout=file, stderr=subprocess.STDOUT, timeout=limit
            )
            is_done = True
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            is_done = False
            print(error)
    print(f"{path.stem}: {'done' if is_done else 'failed'}, {time.monotonic() - started:.0f} s")
    if is_done:
        unfinished.rename(path)
    return is_done


if __name__ == "__main__":
    main()
