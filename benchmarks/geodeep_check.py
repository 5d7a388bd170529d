"""Does GeoDeep find in an exported file what geodet finds in the model?

Each scene is written at the model's resolution first, so that both see the same pixels. GeoDeep
runs from its package, in an environment of its own, and gives its boxes before it cuts them to
whole pixels. It takes the overlap in whole percent of a tile and pads scenes that are smaller than
one: an overlap of 25 % and a tile no larger than the scene give both the same windows. A network
says something else of the same object a few pixels away.

    python benchmarks/geodeep_check.py --geodeep-python PATH [--model NAME] SCENE ...
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from affine import Affine
from common import print_machine
from pyproj import CRS
from rich.console import Console
from rich.table import Table
from torchvision.ops import box_iou

from geodet.config import DetectConfig
from geodet.detection.predictor import build_predictor
from geodet.detection.scene_for_model import open_for_model
from geodet.detection.scene_run import detect_scene
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.models.model import Model
from geodet.onnx.export import export_model
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene

_SCRIPT = Path(__file__).parent / "others" / "geodeep_run.py"
NEAR = 0.9


def main() -> None:
    options = _parse()
    model = load_checkpoint(options.model)
    config = DetectConfig(chip_size=options.chip_size, overlap=options.overlap, precision="float32")
    tiles = {"chip_size": options.chip_size, "overlap": options.overlap}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_model(model, folder / "model.onnx", reader="geodeep", **tiles)
        scenes = [
            _at_model_resolution(source, model, config, folder / f"{index}.tif")
            for index, source in enumerate(options.scenes)
        ]
        ours = _find(scenes, model, config)
        theirs = _find_with_geodeep(scenes, folder, options.geodeep_python)
    names = [source.name for source in options.scenes]
    _print(options, list(zip(names, ours, theirs, strict=True)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="+", type=Path)
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--chip-size", type=int, default=512)
    parser.add_argument("--overlap", type=int, default=64)
    parser.add_argument("--geodeep-python", type=Path, required=True)
    return parser.parse_args()


def _at_model_resolution(source: Path, model: Model, config: DetectConfig, target: Path) -> Path:
    """Write a scene as both are to see it; where it lies does not matter."""
    with open_for_model(source, model.description, config) as scene:
        width, height = scene.grid
        pixels = scene.read(Window(0, 0, width, height)).pixels
    gsd = model.description.gsd or 1.0
    place = Affine(gsd, 0, 500_000, 0, -gsd, 4_000_000)
    write_raster(target, pixels, GeoBox(width, height, place, CRS.from_epsg(32633)))
    return target


def _find(scenes: list[Path], model: Model, config: DetectConfig) -> list[Detections]:
    predictor = build_predictor(model, config, "cpu")
    found = []
    for scene in scenes:
        with Scene(scene) as opened:
            found.append(detect_scene(opened, predictor, config).detections)
    return found


def _find_with_geodeep(scenes: list[Path], folder: Path, python: Path) -> list[Detections]:
    answer, order = folder / "found.json", folder / "order.json"
    asked = {"scenes": [str(scene) for scene in scenes], "answer": str(answer)}
    asked["model"] = str(folder / "model.onnx")
    order.write_text(json.dumps(asked), encoding="utf-8")
    subprocess.run([python, _SCRIPT, order], check=True)
    return [
        _clipped(rows, scene)
        for rows, scene in zip(json.loads(answer.read_text(encoding="utf-8")), scenes, strict=True)
    ]


def _clipped(rows: list[list[float]], scene: Path) -> Detections:
    """Cut boxes at the edge of the scene, as geodet does."""
    if not rows:
        return Detections.empty()
    table = np.array(rows, float)
    found = Detections(table[:, :4], table[:, 4], np.argmax(table[:, 5:], axis=1))
    with Scene(scene) as opened:
        return found.clipped(*opened.grid)


def _matched(one: Detections, other: Detections) -> float:
    """Return the share of some boxes that another set has, too."""
    if not len(one) or not len(other):
        return float(len(one) == len(other))
    best = box_iou(torch.from_numpy(one.boxes), torch.from_numpy(other.boxes)).amax(dim=1)
    return float((best >= NEAR).double().mean())


def _print(options: argparse.Namespace, rows: list[tuple[str, Detections, Detections]]) -> None:
    print_machine()
    table = Table(title=f"{options.model}, tiles of {options.chip_size} px, IoU of {NEAR} or more")
    for column in ("scene", "geodet", "GeoDeep", "of geodet's", "of GeoDeep's"):
        table.add_column(column)
    for name, ours, theirs in rows:
        shares = f"{_matched(ours, theirs):.1%}", f"{_matched(theirs, ours):.1%}"
        table.add_row(name, str(len(ours)), str(len(theirs)), *shares)
    both = [(len(a), len(b), _matched(a, b), _matched(b, a)) for _, a, b in rows]
    ours, theirs = sum(n for n, *_ in both), sum(n for _, n, *_ in both)
    shares = (
        f"{sum(n * share for n, _, share, _ in both) / max(ours, 1):.1%}",
        f"{sum(n * share for _, n, _, share in both) / max(theirs, 1):.1%}",
    )
    table.add_row("all", str(ours), str(theirs), *shares)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
