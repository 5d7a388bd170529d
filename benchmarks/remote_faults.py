"""Print how soon Ctrl-C ends ``geodet detect`` while the server of its scene fails, in each way.

Run: python benchmarks/remote_faults.py [--kinds stall drip]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rasterio.shutil
from common import TILE, make_scene, print_machine

KINDS = ("stall", "stall-body", "drip", "delay", "drop", "truncate", "429", "500", "503")
FROM_BYTE = 1_000_000
SETTINGS = ("retries=50", "chip_size=512", "overlap=96")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    kinds = parser.parse_args().kinds
    print_machine()
    print("| the server | from its first answer | after 1 MB | exit codes |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_scene(folder, TILE)
        rasterio.shutil.copy(folder / "town.tif", folder / "cog.tif", driver="COG")
        for kind in kinds:
            (first, code), (later, other) = (
                measure(folder, kind, first_byte) for first_byte in (0, FROM_BYTE)
            )
            print(f"| {kind} | {first:.2f} s | {later:.2f} s | {code}, {other} |", flush=True)


def measure(folder: Path, kind: str, first_byte: int) -> tuple[float, int]:
    """Return the seconds from Ctrl-C to the end of a run, and its exit code."""
    remote_server: Any = _import_from_tests("remote_server")
    with remote_server.serving(folder) as server:
        server.fault = remote_server.Fault(kind, first_byte=first_byte, seconds=60)
        command = [sys.executable, "-m", "geodet", "detect", f"{server.url}/cog.tif"]
        command += ["-o", str(folder / "out.gpkg"), "--device", "cpu"]
        command += [word for setting in SETTINGS for word in ("--set", f"detect.{setting}")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        if not server.is_struck.wait(120):
            raise RuntimeError(f"the run never asked for what {kind} spoils")
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        code = process.wait(120)
        return time.monotonic() - began, code


def _import_from_tests(name: str) -> Any:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    return __import__(name)


if __name__ == "__main__":
    main()
