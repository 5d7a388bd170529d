"""How long the map of `geodet view` takes with a million objects, without the browser.

Boxes of 6 to 18 px and three classes are scattered over a painted scene of 20,480 x 20,480 px
without overviews. Shown are the seconds until the objects can be drawn and until the overview of
the scene is read, and of the answers to what the page then asks for: the tiles of one place at each
zoom, the count after a move of the slider, and a step. The seconds of CPU time are those of all
threads; they hardly depend on what else the machine does.

    python benchmarks/looking.py [--count 1000000] [--side 20480]
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
from affine import Affine
from common import print_machine
from pyproj import CRS
from rich.console import Console
from rich.table import Table

from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.raster.scene import Scene
from geodet.vector.write_detections import write_detections
from geodet.viewer.map_requests import MapRequests
from geodet.viewer.map_server import HOST, MapServer
from geodet.viewer.shown_scene import read_shown_scene

_STRIP = 1024
_CLASSES = ("tree", "palm", "shrub")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=20_480)
    options = parser.parse_args()
    print_machine()
    table = Table(title=f"{options.count:,} objects in {options.side:,} x {options.side:,} px")
    for column in ("step", "seconds", "CPU seconds", "kB"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        paint_scene(place / "scene.tif", options.side)
        scatter_boxes(place / "found.gpkg", options.side, options.count)
        for row in _measure(place):
            table.add_row(*row)
    Console(width=100).print(table)


def paint_scene(path: Path, side: int) -> None:
    rng = np.random.default_rng(0)
    profile = {"width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    place = {"transform": _transform(), "tiled": True, "compress": "deflate", "zlevel": 1}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as raster:
        for row in range(0, side, _STRIP):
            height = min(_STRIP, side - row)
            coarse = rng.integers(60, 90, (3, height // 16 + 1, side // 16 + 1), dtype=np.uint8)
            pixels = coarse.repeat(16, 1).repeat(16, 2)[:, :height, :side]
            raster.write(pixels, window=rasterio.windows.Window(0, row, side, height))


def _transform() -> Affine:
    return Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def scatter_boxes(path: Path, side: int, count: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, side - 20, (count, 2))
    boxes = np.hstack([low, low + rng.uniform(6, 18, (count, 2))])
    found = Detections(boxes, rng.beta(2, 2, count), rng.integers(0, 3, count))
    geobox = GeoBox(side, side, _transform(), CRS.from_epsg(32633))
    write_detections(path, [SceneDetections("scene.tif", geobox, found)], _CLASSES, metadata={})


class _Stopwatch:
    """Seconds, and seconds of CPU time, since it was made."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[str, str]:
        seconds, cpu = time.perf_counter() - self._start, time.process_time() - self._cpu
        return f"{seconds:.3f}", f"{cpu:.3f}"


def _measure(folder: Path) -> list[tuple[str, ...]]:
    stopwatch = _Stopwatch()
    with Scene(folder / "scene.tif") as scene:
        shown = read_shown_scene(scene, folder / "found.gpkg")
        memory = psutil.Process().memory_info().rss / 1e3
        rows = [("objects can be drawn", *stopwatch.read(), f"{memory:,.0f} of memory")]
        shown.pictures.wait()
        rows.append(("overview is read", *stopwatch.read(), ""))
        with MapServer(MapRequests(shown)) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            rows += [_asked(server, what, name) for what, name in _names(shown).items()]
            server.shutdown()
            thread.join()
    return rows


def _names(shown: Any) -> dict[str, str]:
    u, v = shown.frame.mesh(2)[1, 1]
    finest = shown.frame.finest_zoom
    names = {"about": "about.json"}
    for z in range(finest - 7, finest + 1):
        tile = f"{z}/{int(u * 2**z)}/{int(v * 2**z)}"
        names[f"objects, zoom {z}"] = f"objects/{tile}.mvt?at=0.3"
        names[f"picture, zoom {z}"] = f"scene/{tile}.png"
    return names | {
        "first count": "objects/count?at=0.3&view=0,0,1,1",
        "count": "objects/count?at=0.5&view=0,0,1,1",
        "first step": "objects/step",
        "step": "objects/step?from=5",
    }


def _asked(server: MapServer, what: str, name: str) -> tuple[str, ...]:
    path = server.address.partition(str(server.server_port))[2] + name
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=600)
    stopwatch = _Stopwatch()
    connection.request("GET", path)
    content = connection.getresponse().read()
    taken = stopwatch.read()
    connection.close()
    if name.endswith(".json"):
        json.loads(content)
    return what, *taken, f"{len(content) / 1e3:,.0f}"


if __name__ == "__main__":
    main()
