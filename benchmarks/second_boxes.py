"""Second boxes on large crowns: ways to suppress them, on a painted town and on real chips.

The bundled tree models know one size of box, so a crown much wider than that could get several. In
the painted town the crowns are known: a second box is any beyond the first with its centre in one
crown, counted for the nearest tree. Each way starts from the same candidates, and its threshold is
the one that is best on the validation chips, with their labels.

    python benchmarks/second_boxes.py [--model urban-trees] [--data DIR] [--side 1024]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import GSD, print_machine
from fusing import Floats, Fuse, soft_nms, suppress
from rich.console import Console
from rich.table import Table

from geodet.config.recipes import resolve_config
from geodet.demo.town import paint_town
from geodet.detection.predictor import Predictor, build_predictor
from geodet.evaluation.evaluated_chips import compare_images, predict_images
from geodet.evaluation.threshold_curves import Comparison, best_counts, count_matches
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.raster.chip import Chip
from geodet.tilesets.tileset import read_tileset

DATA = Path(__file__).parents[2] / "shared" / "data"
_LOWEST_SCORE = 0.15
_BOX = 12.0  # pixels: 7.2 m


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    config = resolve_config(options.model)
    images = read_tileset(options.data / "urban-trees", config.data).split("val")
    settings = config.detect.model_copy(update={"iou_threshold": 1.0})  # suppresses nothing
    model = load_checkpoint(options.model)
    predictor = build_predictor(model, settings, "cpu", score_threshold=_LOWEST_SCORE)
    found = predict_images(predictor, images, config.data.bands, settings)
    painting = paint_town(options.side, options.side, seed=options.seed, gsd=GSD)
    in_town = _search(predictor, painting.pixels)
    trees = np.hstack([painting.centres - _BOX / 2, painting.centres + _BOX / 2])
    kinds = np.zeros(len(trees), np.int64)
    table = Table(title=f"{options.model}: {len(images)} chips, and a town of {len(trees)} trees")
    columns = ("F1", "precision", "recall", "town F1", "precision", "recall", "second boxes")
    for column in ("suppression", "threshold", *columns):
        table.add_column(column)
    for name, merge in _ways().items():
        real = compare_images([merge(one.ranked()) for one in found], images, config.match)
        best = best_counts(real, lowest=_LOWEST_SCORE)
        merged = merge(in_town.ranked())
        kept = merged.select(merged.scores >= np.float32(best.threshold))
        none = np.zeros((0, 4))
        town = Comparison.of(kept, trees, kinds, ignored=none, rule=config.match, gsd=GSD)
        counts = count_matches([town], best.threshold)
        seconds = count_second_boxes(kept, painting.centres, painting.radii)
        figures = (best.f1, best.precision, best.recall)
        figures += (counts.f1, counts.precision, counts.recall)
        cells = [f"{figure:.3f}" for figure in figures]
        table.add_row(name, f"{best.threshold:.2f}", *cells, f"{seconds} of {len(kept)}")
    print_machine()
    Console(width=120).print(table)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _search(predictor: Predictor, pixels: np.ndarray) -> Detections:
    side = pixels.shape[-1]
    chip = Chip(Window(0, 0, side, side), pixels, np.ones((side, side), np.bool_))
    return predictor([chip])[0].detections


def _ways() -> dict[str, Fuse]:
    ways: dict[str, Fuse] = {}
    for iou in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        ways[f"NMS {iou}"] = partial(suppress, iou=iou)
    for part in (0.1, 0.2, 0.3):
        name = f"{part} of the smaller box is shared"
        ways[name] = partial(_suppress_by, part_of_smaller, limit=part)
    for metres in (4.5, 5.5, 6.5, 7.5):
        name = f"centres closer than {metres} m"
        ways[name] = partial(_suppress_by, _nearness, limit=-metres / GSD)
    for factor in (0.5, 0.7, 0.85):
        for metres in (7.0, 9.0):
            name = f"NMS 0.2, and centres closer than {metres:g} m if the score is below {factor} "
            name += "times the other"
            ways[name] = partial(suppress_weak, metres=metres, factor=factor)
    ways["soft-NMS, Gaussian 0.3"] = partial(soft_nms, sigma=0.3, lowest=_LOWEST_SCORE)
    return ways


def _suppress_by(
    measure: Callable[[Floats, Floats], Floats], detections: Detections, *, limit: float
) -> Detections:
    """Keep the strongest box, drop those whose measure with it is above the limit, and so on."""
    boxes, left, kept = detections.boxes, np.arange(len(detections)), []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        left = left[measure(boxes[first], boxes[left]) <= limit]
    return detections.select(np.array(kept, np.int64))


def suppress_weak(detections: Detections, *, metres: float, factor: float) -> Detections:
    """Drop what is left beside a much stronger box, too."""
    plain = suppress(detections, iou=0.2)
    boxes, scores = plain.boxes, plain.scores
    kept: list[int] = []
    for i in range(len(plain)):
        strong = np.array([j for j in kept if scores[i] < factor * scores[j]], np.int64)
        if not len(strong) or _nearness(boxes[i], boxes[strong]).max() <= -metres / GSD:
            kept.append(i)
    return plain.select(np.array(kept, np.int64))


def part_of_smaller(box: Floats, others: Floats) -> Floats:
    """Return the share of the smaller box that both have in common."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    own = float((box[2:] - box[:2]).prod())
    share: Floats = sides.clip(0).prod(axis=1) / np.minimum(areas, own)
    return share


def _nearness(box: Floats, others: Floats) -> Floats:
    """Return the distance of the centres in pixels, negative."""
    apart = (others[:, :2] + others[:, 2:] - box[:2] - box[2:]) / 2
    near: Floats = -np.hypot(apart[:, 0], apart[:, 1])
    return near


def count_second_boxes(found: Detections, centres: Floats, radii: Floats) -> int:
    """Count the detections in crowns beyond the first of each; the nearest tree decides."""
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    apart = np.linalg.norm(middles[:, None] - centres[None], axis=2)
    nearest = apart.argmin(axis=1)
    inside = apart[np.arange(len(middles)), nearest] <= radii[nearest]
    return int(inside.sum() - len(np.unique(nearest[inside])))


if __name__ == "__main__":
    main()
