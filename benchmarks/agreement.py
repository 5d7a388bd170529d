"""Whether detections depend on how a scene is cut: F1 between windows of several kinds.

Every row is compared with the scene in one window of the same precision, and the rows "all" with
one in float32. Rows with another origin lose columns and rows on the upper left: multiples of the
stride of the network, or not.

    python benchmarks/agreement.py [--scene FILE] [--side 2048] [--model urban-trees]
    python benchmarks/agreement.py --overlaps 64 96 128 192
    python benchmarks/agreement.py --origins [--tta]
    python benchmarks/agreement.py --shifts [--tta]

With --overlaps, only windows of 512 px with these overlaps are compared; with --origins, only
scenes cut at another origin. With --shifts, the network alone is given the scene without its first
columns and rows, in one window that begins there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import make_scene, print_machine
from rich.console import Console
from rich.table import Table

from geodet.config import DetectConfig, MatchConfig
from geodet.detection.predictor import build_predictor
from geodet.detection.scene_for_model import open_for_model
from geodet.detection.scene_run import detect_scene
from geodet.evaluation.threshold_curves import Comparison, count_matches
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.models.model import Model
from geodet.raster.chip import Chip
from geodet.raster.geotiff import write_raster

WINDOWS = ((256, 64), (320, 128), (512, 64), (512, 128), (1024, 64), (1024, 128))
ORIGINS = ((64, 32), (100, 37))
SHIFTS = ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (4, 4), (8, 8), (100, 37))
MARGIN = 160  # pixels from the edges of a scene that was cut, whose objects have lost surroundings


def main() -> None:
    options = _parse()
    print_machine()
    model, tta = load_checkpoint(options.model), {"tta": options.tta}
    if options.shifts:
        with tempfile.TemporaryDirectory() as name:
            path = options.scene or make_scene(Path(name), options.side)
            _print_shifts(path, model, tta=options.tta)
        return
    table = Table(title=f"F1 of detections against those of one window, {options.model}")
    for column in ("chip", "overlap", "columns and rows left out", "precision", "objects", "F1"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as name:
        path = options.scene or make_scene(Path(name), options.side)
        exact = _detect(path, model, chip_size=2**15, overlap=0, precision="float32", **tta)
        for precision in ("float32", "bfloat16"):
            whole = _detect(path, model, chip_size=2**15, overlap=0, precision=precision, **tta)
            cells = ("all", "0", "0, 0", precision, str(len(whole)))
            table.add_row(*cells, f"{_agreement(whole, exact):.4f}")
            for size, overlap in _windows(options):
                found = _detect(
                    path, model, chip_size=size, overlap=overlap, precision=precision, **tta
                )
                cells = (str(size), str(overlap), "0, 0", precision, str(len(found)))
                table.add_row(*cells, f"{_agreement(found, whole):.4f}")
            for x, y in () if options.overlaps else ORIGINS:
                part = _cut(path, model, x, y, Path(name) / "part.tif")
                found = _detect(part, model, chip_size=512, overlap=128, precision=precision, **tta)
                pair = [_inner(one, x, y) for one in (found.shifted(x, y), whole)]
                cells = ("512", "128", f"{x}, {y}", precision, str(len(found)))
                table.add_row(*cells, f"{_agreement(*pair):.4f}")
    Console(width=100).print(table)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--overlaps", type=int, nargs="*", default=[])
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--origins", action="store_true", help="other origins only")
    parser.add_argument("--shifts", action="store_true", help="the network alone")
    parser.add_argument("--tta", action="store_true", help="average over flips")
    return parser.parse_args()


def _windows(options: argparse.Namespace) -> Sequence[tuple[int, int]]:
    if options.origins:
        return ((512, 128),)
    return [(512, overlap) for overlap in options.overlaps] or WINDOWS


def _print_shifts(path: Path, model: Model, *, tta: bool) -> None:
    """Print how well the network agrees with itself on an image that begins at another pixel."""
    config = DetectConfig(resample=False, precision="float32", tta=tta)
    predictor, stride = build_predictor(model, config, "cpu"), model.description.architecture.stride
    with open_for_model(path, model.description, config) as scene:
        pixels = scene.read_overview(max(scene.grid)).pixels

    def detect(x: int, y: int) -> Detections:
        height, width = (side // stride * stride for side in pixels[0, y:, x:].shape)
        part = np.ascontiguousarray(pixels[:, y : y + height, x : x + width])
        chip = Chip(Window(x, y, width, height), part, np.ones((height, width), np.bool_))
        found = predictor([chip])[0].detections.shifted(x, y)
        ends = np.array([pixels.shape[2], pixels.shape[1]]) - MARGIN
        inside = (found.boxes[:, :2] > MARGIN) & (found.boxes[:, 2:] < ends)
        return found.select(inside.all(axis=1))

    whole = detect(0, 0)
    table = Table(
        title=f"F1 of detections against those of the whole image, {model.description.name}"
    )
    for column in ("columns and rows left out", "objects", "IoU 0.5", "6 m"):
        table.add_column(column, justify="right")
    gsd, near = model.description.gsd, MatchConfig(by="distance", distance_m=6.0)
    for x, y in SHIFTS:
        found = detect(x, y)
        by_centre = "" if gsd is None else f"{_agreement(found, whole, near, gsd):.3f}"
        table.add_row(f"{x}, {y}", str(len(found)), f"{_agreement(found, whole):.3f}", by_centre)
    Console(width=100).print(table)


def _detect(path: Path, model: Model, **settings: object) -> Detections:
    config = DetectConfig.model_validate({"resample": False, **settings})
    predictor = build_predictor(model, config, "cpu")
    with open_for_model(path, model.description, config) as scene:
        return detect_scene(scene, predictor, config).detections


def _cut(path: Path, model: Model, x: int, y: int, output: Path) -> Path:
    """Write the scene without its first columns and rows."""
    config = DetectConfig(resample=False)
    with open_for_model(path, model.description, config) as scene:
        width, height = scene.grid
        chip = scene.read_overview(max(width, height))
        moved = scene.geobox.transform * scene.geobox.transform.translation(x, y)
        geobox = GeoBox(width - x, height - y, moved, scene.geobox.crs)
    output.unlink(missing_ok=True)
    write_raster(output, chip.pixels[:, y:, x:], geobox)
    return output


def _inner(found: Detections, x: int, y: int) -> Detections:
    return found.select((found.boxes[:, :2] > [x + MARGIN, y + MARGIN]).all(axis=1))


def _agreement(
    found: Detections,
    wanted: Detections,
    rule: MatchConfig | None = None,
    gsd: float | None = None,
) -> float:
    nothing, rule = np.zeros((0, 4)), rule or MatchConfig(iou=0.5)
    result = Comparison.of(found, wanted.boxes, wanted.labels, ignored=nothing, rule=rule, gsd=gsd)
    return count_matches([result], 0.0).f1


if __name__ == "__main__":
    main()
