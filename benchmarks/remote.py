"""Throughput of detect on a scene behind a slow network, against the same file on the local disk.

A loopback server answers requests by ranges, each after a delay; it is a process of its own. Each
scene is a Cloud-Optimised GeoTIFF or a GeoTIFF in strips. Runs alternate between the local and the
remote scene, so that another program that uses the machine slows down both; the ratio is of the
best of each. "read" is how fast the chips come; "paced" has a pause after each chip in place of the
network, as long as a network of that throughput would take, so that what else the machine does
counts less; with --model the model itself detects.

    python benchmarks/remote.py [--side 4096] [--delay 0.05] [--readers 2 8 16] [--repeats 3]
                                [--pace 5.2] [--model urban-trees] [--ways read] [--kinds COG]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import rasterio.shutil
from common import make_scene, print_machine
from rich.console import Console
from rich.table import Table

import geodet
from geodet.detection.chip_reading import count_readers, iter_chips
from geodet.geometry.windows import WindowGrid
from geodet.models.model import Model
from geodet.raster.gdal_options import forget_remote_files
from geodet.raster.scene import Scene

_KINDS: dict[str, dict[str, Any]] = {
    "COG": {"driver": "COG", "compress": "JPEG", "quality": 90, "blocksize": 512},
    "strips": {"driver": "GTiff", "compress": "DEFLATE", "interleave": "pixel"},
}


def main() -> None:
    options = _parse()
    print_machine()
    model = geodet.load_model(options.model) if options.model else None
    title = f"Mpx/s, {options.side} px a side, {options.delay * 1000:.0f} ms per request"
    table = Table(title=title)
    names = (*options.ways, *(["detect"] if model else []))
    columns = (f"{name} {what}" for name in names for what in ("local", "remote", "ratio"))
    for column in ("scene", "threads", *columns):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        files = _make_files(Path(folder), options.side)
        with serving(Path(folder), options.delay) as address:
            for kind, file in files.items():
                pair = (str(file), f"{address}/{file.name}")
                for readers in options.readers if kind in options.kinds else ():
                    figures = _measure(pair, readers, model, options)
                    table.add_row(kind, str(readers or "the default"), *figures)
    Console(width=110).print(table)


@contextmanager
def serving(folder: Path, delay: float) -> Iterator[str]:
    """Yield the address of a server of the files of a folder, a process of its own.

    Args:
        folder: Where the files are.
        delay: Seconds before each answer.
    """
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(str(folder), delay, there))
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        server.kill()
        server.join()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--readers", type=int, nargs="+", default=[0], help="0: chosen by geodet")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pace", type=float, default=5.2, help="Mpx/s")
    parser.add_argument("--ways", nargs="*", default=["read", "paced"], help="read, paced")
    parser.add_argument("--kinds", nargs="+", default=list(_KINDS), help="COG, strips")
    parser.add_argument("--model", default="", help="also detect with it")
    return parser.parse_args()


def _make_files(folder: Path, side: int) -> dict[str, Path]:
    scene = make_scene(folder, side)
    files = {kind: folder / f"{kind}.tif" for kind in _KINDS}
    for kind, file in files.items():
        rasterio.shutil.copy(str(scene), str(file), **_KINDS[kind])
    return files


def _measure(
    pair: tuple[str, str], readers: int, model: Model | None, options: argparse.Namespace
) -> list[str]:
    def read(path: str, pause: float = 0.0) -> None:
        with Scene(path) as scene:
            grid = WindowGrid(*scene.grid, 640, 64, 32)
            workers = count_readers(readers or None, "cpu", is_remote=scene.is_remote)
            for index, _ in iter_chips(scene, grid, workers=workers, ahead=max(16, workers)):
                core = grid.core(index)
                time.sleep(core.width * core.height / 1e6 * pause)

    def detect(path: str) -> None:
        assert model is not None
        geodet.detect(path, model, workers=readers or None)

    known = {"read": read, "paced": partial(read, pause=1 / options.pace)}
    ways: list[Callable[[str], None]] = [known[name] for name in options.ways]
    figures = []
    for way in [*ways, detect] if model else ways:
        here, there = _alternate(pair, way, options.repeats)
        rates = [options.side**2 / 1e6 / seconds for seconds in (here, there)]
        figures += [*(f"{rate:.1f}" for rate in rates), f"{here / there:.2f}"]
    return figures


def _alternate(
    pair: tuple[str, str], function: Callable[[str], None], repeats: int
) -> tuple[float, float]:
    """Return the fewest seconds for the local and the remote scene."""
    best = [float("inf")] * 2
    for _ in range(repeats):
        for place, path in enumerate(pair):
            forget_remote_files()
            started = time.perf_counter()
            function(path)
            best[place] = min(best[place], time.perf_counter() - started)
    return best[0], best[1]


def _serve(folder: str, delay: float, pipe: Connection) -> None:
    class Ranges(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(is_head=True)

        def do_GET(self) -> None:
            self._answer(is_head=False)

        def _answer(self, *, is_head: bool) -> None:
            time.sleep(delay)
            file = Path(folder, self.path.lstrip("/"))
            size = file.stat().st_size if file.is_file() else 0
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(wanted[1]) if wanted else 0
            last = min(int(wanted[2] or size) if wanted else size, size - 1)
            self.send_response(404 if not size else 206 if wanted else 200)
            self.send_header("Accept-Ranges", "bytes")
            if wanted and size:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Length", str(last - first + 1 if size else 0))
            self.end_headers()
            if size and not is_head:
                with file.open("rb") as content:
                    os.sendfile(self.connection.fileno(), content.fileno(), first, last - first + 1)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    pipe.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
