"""Ways to merge the boxes that say the same: NMS, soft-NMS and weighted box fusion, on one output.

The network runs once on each validation image; every way then starts from the same candidates. F is
at each way's own best threshold.

    python benchmarks/merging.py [--model urban-trees] [--task urban-trees] [--data DIR]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from common import print_machine
from fusing import Fuse, fuse_boxes, soft_nms, suppress
from others.chips import Dataset, read_dataset
from rich.console import Console
from rich.table import Table
from scoring import score_images

from geodet.detection.predictor import build_predictor
from geodet.evaluation.evaluated_chips import predict_images
from geodet.geometry.boxes import Detections
from geodet.models.checkpoint import load_checkpoint

DATA = Path(__file__).parents[2] / "shared" / "data"
COLUMNS = {
    "urban-trees": ("F", "precision", "recall"),
    "thermal": ("AP", "AP50", "F"),
    "vehicles": ("AP", "AP50", "F"),
}
_LOWEST_SCORE = 0.05  # section 4.1 of arXiv:1708.02002, as is the number of candidates
_CANDIDATES = 3000  # 1,000 a level of three


def main() -> None:
    options = _parse()
    dataset = read_dataset(options.data / options.task, options.task)
    found = _candidates(dataset, options.model or options.task)
    rows = []
    for name, merge in _ways().items():
        start = time.perf_counter()
        merged = [_merged_by_class(one, merge) for one in found]
        seconds = time.perf_counter() - start
        figures = score_images(merged, dataset.val, dataset.classes, dataset.config.match)
        rows.append((name, figures, sum(map(len, merged)), seconds))
        print(name, figures, flush=True)
    _print(options, rows, sum(map(len, found)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--task", choices=list(COLUMNS), default="urban-trees")
    parser.add_argument("--model", help="a bundled model's name or a file; unset: the task's name")
    return parser.parse_args()


def _ways() -> dict[str, Fuse]:
    ways: dict[str, Fuse] = {}
    for iou in (0.2, 0.3, 0.4, 0.5, 0.6):
        ways[f"NMS {iou}"] = _with(suppress, iou=iou)
    for iou in (0.3, 0.5):
        ways[f"soft-NMS, linear {iou}"] = _with(soft_nms, iou=iou, lowest=_LOWEST_SCORE)
    for sigma in (0.1, 0.3, 0.5):
        ways[f"soft-NMS, Gaussian {sigma}"] = _with(soft_nms, sigma=sigma, lowest=_LOWEST_SCORE)
    for iou in (0.3, 0.5, 0.6):
        ways[f"box fusion {iou}, mean score"] = _with(fuse_boxes, iou=iou)
        ways[f"box fusion {iou}, best score"] = _with(fuse_boxes, iou=iou, keeps_best=True)
    return ways


def _with(merge: Callable[..., Detections], **options: float) -> Fuse:
    return lambda detections: merge(detections, **options)


def _candidates(dataset: Dataset, model: str) -> list[Detections]:
    """Run the network and leave its boxes unmerged: an overlap above 1 suppresses nothing."""
    settings = dataset.config.detect.model_copy(update={"iou_threshold": 1.0})
    loaded = load_checkpoint(model)
    predictor = build_predictor(loaded, settings, "auto", score_threshold=_LOWEST_SCORE)
    found = predict_images(predictor, dataset.val, dataset.bands)
    names = loaded.description.classes
    own = {names.index(name): i for i, name in enumerate(dataset.classes)}
    return [_renumbered(one.select(slice(_CANDIDATES)), own) for one in found]


def _renumbered(detections: Detections, label_of: dict[int, int]) -> Detections:
    labels = torch.as_tensor(detections.labels)
    numbers = torch.tensor([label_of.get(int(label), -1) for label in labels]).numpy()
    whole = Detections(detections.boxes, detections.scores, numbers.astype("int64"))
    return whole.select(whole.labels >= 0)


def _merged_by_class(detections: Detections, merge: Fuse) -> Detections:
    labels = sorted(set(detections.labels.tolist()))
    parts = [merge(detections.select(detections.labels == label).ranked()) for label in labels]
    return Detections.concatenate(parts).ranked()


def _print(
    options: argparse.Namespace,
    rows: Sequence[tuple[str, dict[str, float], int, float]],
    candidates: int,
) -> None:
    print_machine()
    table = Table(
        title=f"{options.model or options.task} on {options.task}, {candidates} candidate boxes"
    )
    columns = COLUMNS[options.task]
    for column in ("", *columns, "threshold", "boxes left", "s"):
        table.add_column(column)
    for name, figures, count, seconds in rows:
        cells = [f"{figures[c]:.3f}" if c in figures else "-" for c in columns]
        table.add_row(name, *cells, f"{figures['threshold']:.2f}", str(count), f"{seconds:.1f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
