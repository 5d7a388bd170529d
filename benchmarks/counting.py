"""Count a million objects in ten thousand polygons, file to file.

python benchmarks/counting.py [--objects 1000000] [--side 100] [--repeats 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import shapely
from geopandas import GeoDataFrame

from geodet.counting.count import CountPlaces, count_objects
from geodet.counting.known_accuracy import KnownAccuracy

CRS = "EPSG:32633"
CORNER = np.array([500_000.0, 5_000_000.0])
CELL = 50.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=100, help="polygons along a side")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        trees, stands = Path(name, "trees.gpkg"), Path(name, "stands.gpkg")
        write_objects(trees, options.objects, options.side * CELL)
        write_stands(stands, options.side)
        known = KnownAccuracy(0.76, 0.74, 2395)
        for _ in range(options.repeats):
            began, cpu = time.perf_counter(), time.process_time()
            report = count_objects(
                trees, CountPlaces(stands), Path(name, "counts.gpkg"), known=known, overwrite=True
            )
            whole, cpu = time.perf_counter() - began, time.process_time() - cpu
            began = time.perf_counter()
            pyogrio.read_dataframe(trees, use_arrow=True)
            reading = time.perf_counter() - began
            print(
                f"{report.objects:,} objects in {report.polygons:,} polygons: {whole:.2f} s, "
                f"{cpu:.2f} s of the CPU, "
                f"{whole / reading:.2f} of reading the objects ({reading:.2f} s)"
            )


def write_objects(path: Path, count: int, side: float) -> None:
    random = np.random.default_rng(0)
    x, y = (CORNER + random.uniform(0, side, (count, 2))).T
    size = random.uniform(2, 8, count)
    columns = {
        "label": pd.Categorical.from_codes(random.integers(0, 3, count), ["oak", "pine", "fir"]),
        "score": random.uniform(0.3, 1, count),
        "area_m2": size**2,
    }
    boxes = shapely.box(x, y, x + size, y + size)
    frame = GeoDataFrame(columns, geometry=boxes, crs=CRS).astype({"label": str})
    pyogrio.write_dataframe(frame, path, layer="detections", use_arrow=True)


def write_stands(path: Path, side: int) -> None:
    x, y = np.meshgrid(*[np.arange(side) * CELL] * 2)
    x, y = x.ravel() + CORNER[0], y.ravel() + CORNER[1]
    frame = GeoDataFrame(
        {"stand": np.arange(side**2)}, geometry=shapely.box(x, y, x + CELL, y + CELL), crs=CRS
    )
    pyogrio.write_dataframe(frame, path)


if __name__ == "__main__":
    main()
