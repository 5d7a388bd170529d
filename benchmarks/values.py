"""What a scene of other brightness, contrast or bits costs, and what matching its values returns.

The validation images of a task are changed; a bundled model looks at them as they are then, and
with `detect.value_range=scene`. F is at the threshold stored in the model, as detect uses it.

    python benchmarks/values.py [--task urban-trees] [--data DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import print_machine
from numpy.typing import NDArray
from others.chips import Dataset, read_dataset
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scoring import score_images

from geodet.config import DetectConfig
from geodet.detection.predictor import Predictor, build_predictor, with_input_values
from geodet.detection.scene_statistics import measure_chips
from geodet.detection.value_range import fit_input_values
from geodet.geometry.boxes import Detections
from geodet.models.checkpoint import load_checkpoint
from geodet.models.model import Model
from geodet.raster.chip import Chip
from geodet.tilesets.displayed_images import read_chip

DATA = Path(__file__).parents[2] / "shared" / "data"
TASKS = ("urban-trees", "urban-trees-nir", "vehicles", "thermal")

Pixels = NDArray[np.floating[Any]]


def _contrast(factor: float) -> Callable[[Pixels], Pixels]:
    return lambda pixels: (pixels - 128) * factor + 128


_GAINS = np.array([6, 9, 4, 20], np.float32)[:, None, None]
CHANGES: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "none": ("uint8", lambda pixels: pixels),
    "contrast x 0.3": ("uint8", _contrast(0.3)),
    "contrast x 0.5": ("uint8", _contrast(0.5)),
    "contrast x 0.7": ("uint8", _contrast(0.7)),
    "contrast x 1.5": ("uint8", _contrast(1.5)),
    "contrast x 2.5, clipped at 0 and 255": ("uint8", _contrast(2.5)),
    "80 darker, clipped at 0": ("uint8", lambda pixels: pixels - 80),
    "80 brighter": ("uint8", lambda pixels: pixels + 80),
    "dark: x 0.3": ("uint8", lambda pixels: pixels * 0.3),
    "gamma 0.6": ("uint8", lambda pixels: 255 * (pixels / 255) ** 0.6),
    "gamma 1.6": ("uint8", lambda pixels: 255 * (pixels / 255) ** 1.6),
    "16 bits: x 9 + 300": ("uint16", lambda pixels: pixels * 9 + 300),
    "16 bits, bands apart": ("uint16", lambda pixels: pixels * _GAINS[: len(pixels)] + 500),
}


def main() -> None:
    options = _parse()
    recipe, folder = options.task, options.task.removesuffix("-nir")
    dataset = read_dataset(options.data / folder, recipe)
    model = load_checkpoint(options.task)
    predictor = build_predictor(model, dataset.config.detect, "auto")
    chips = [read_chip(image, dataset.bands) for image in dataset.val]
    table = Table(title=f"{options.task}, {len(chips)} images")
    for column in (
        "change",
        "F1, not matched",
        "precision",
        "recall",
        "F1, matched",
        "precision",
        "recall",
    ):
        table.add_column(column)
    for name, (dtype, change) in track(CHANGES.items(), transient=True):
        changed = [_change(chip, dtype, change) for chip in chips]
        plain = _figures(predictor, changed, dataset, model)
        matched = _figures(_match(predictor, changed, model), changed, dataset, model)
        table.add_row(name, *(f"{figure:.3f}" for figure in (*plain, *matched)))
    print_machine()
    Console(width=110).print(table)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    return parser.parse_args()


def _change(chip: Chip, dtype: str, change: Callable[[Pixels], Pixels]) -> Chip:
    """Change the pixels, and lose what the type cannot hold."""
    most = np.iinfo(dtype).max
    changed = np.rint(change(chip.pixels.astype(np.float32))).clip(0, most)
    return replace(chip, pixels=changed.astype(dtype))


def _match(predictor: Predictor, chips: Sequence[Chip], model: Model) -> Predictor:
    config = DetectConfig(value_range="scene")
    dtype = chips[0].pixels.dtype.name
    seen = measure_chips(chips)
    return with_input_values(
        predictor, fit_input_values(seen, "images", dtype, model.description, config)
    )


def _figures(
    predictor: Predictor, chips: Sequence[Chip], dataset: Dataset, model: Model
) -> tuple[float, float, float]:
    """Return F, precision and recall of the detections above the model's threshold."""
    names = model.description.classes
    label_of = np.array([dataset.classes.index(name) for name in names])
    found = [_relabelled(predictor([chip])[0].detections, label_of) for chip in chips]
    surest = [Detections(one.boxes, np.ones(len(one)), one.labels) for one in found]
    figures = score_images(surest, dataset.val, dataset.classes, dataset.config.match)
    return figures["F"], figures["precision"], figures["recall"]


def _relabelled(detections: Detections, label_of: NDArray[np.int64]) -> Detections:
    return Detections(detections.boxes, detections.scores, label_of[detections.labels])


if __name__ == "__main__":
    main()
