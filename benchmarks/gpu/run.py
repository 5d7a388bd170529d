"""Measure geodet on a machine with a GPU that is there for a few minutes only, in one command.

Each step runs in a process of its own with a limit, and its figures are written when it ends: the
command may be stopped at any time, and goes on where it was stopped.

    python benchmarks/gpu/run.py [--minutes 8] [--results FOLDER] [--site .gpu/site.tar.xz]
    python benchmarks/gpu/run.py --device cpu --tiny [--only STEP ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
_MEMORY_DISK = Path("/dev/shm")
_LEAST_DISK = 4 * 2**30


def main() -> None:
    started = time.monotonic()
    options = _parse()
    is_large = _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > _LEAST_DISK
    disk = _MEMORY_DISK if is_large and os.access(_MEMORY_DISK, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=disk, prefix="geodet-gpu-") as name:
        folder = Path(name)
        _find_modules(options.site, folder / "names", folder / "site")
        from harness import Book, Setting, run_steps
        from rich.console import Console
        from steps import STEPS

        by_name = {step.name: step for step in STEPS}
        chosen = [by_name[name] for name in options.only or by_name if name not in options.skip]
        book = Book(options.results, options.earlier)
        setting = Setting(options.device, options.tiny, folder, options.data)
        try:
            left = 60 * options.minutes - (time.monotonic() - started)
            run_steps(chosen, setting, book, seconds=left)
        except KeyboardInterrupt:
            print("stopped")
        book.print(chosen, Console(width=170))
    failed = [s.name for s in chosen if book.results.get(s.name, {}).get("outcome") == "failed"]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="try the steps out: no figure counts")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all steps together")
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help="in this order")
    parser.add_argument("--skip", nargs="+", default=[], metavar="STEP")
    parser.add_argument("--results", type=Path, default=Path("gpu-results"))
    parser.add_argument("--earlier", type=Path, help="a results.json to go on with")
    parser.add_argument("--site", type=Path, help="what pack.py made, where packages are missing")
    parser.add_argument("--data", type=Path, help="a tileset to train on; else a painted one")
    return parser.parse_args()


def _find_modules(archive: Path | None, names: Path, site: Path) -> None:
    """Make geodet, the benchmarks and the archive importable, here and in child processes."""
    root = HERE.parents[1]
    places = [names, root, HERE.parent, HERE]
    names.mkdir()
    for package, part in (("geodet_configs", "configs"), ("geodet_cli", "cli")):
        if (root / part).is_dir():  # as pyproject.toml names them, where nothing is installed
            (names / package).symlink_to(root / part)
    if archive and importlib.util.find_spec("rasterio") is None:
        with tarfile.open(archive) as tar:
            tar.extractall(site, filter="data")
        places.append(site)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, places), *filter(None, [before])])
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # Else the question whether there is a GPU would keep forked processes from using it.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    sys.path[:0] = [str(place) for place in reversed(places)]


if __name__ == "__main__":
    main()
