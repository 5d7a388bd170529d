"""Side by side with what one would take instead: same images, minutes, machine and score.

The peers are at their defaults: they enlarge images to 800 px and compute in float32. Nothing is
downloaded, so all begin with random weights, which is not how the peers are meant to be used: the
row of torchvision's RetinaNet without enlarging shows how much of the difference that costs them.

    python benchmarks/detectors.py [--task urban-trees] [--minutes 5] [--deepforest-python PATH]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from common import print_machine
from peers.chips import Dataset, read_dataset
from peers.geodet_recipe import run_geodet
from peers.other_python import run_deepforest
from peers.result import PeerResult
from peers.torchvision_models import MODELS, run_torchvision
from rich.console import Console
from rich.table import Table
from scoring import score_images

DATA = Path(__file__).parents[2] / "shared" / "data"
COLUMNS = {
    "urban-trees": ("F", "precision", "recall"),
    "thermal": ("AP", "AP50", "F"),
    "vehicles": ("AP", "AP50", "F"),
}


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    dataset = read_dataset(options.data / options.task, options.task)
    rows = []
    for result in _run_all(dataset, options):
        figures = {} if result.found is None else _score(dataset, result)
        rows.append((result, figures))
        row = dataclasses.asdict(dataclasses.replace(result, found=None)) | {"figures": figures}
        print(json.dumps(row), flush=True)
        if options.results:
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"task": options.task, "seed": options.seed, **row}) + "\n")
    _print(options, rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--task", choices=list(COLUMNS), default="urban-trees")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, for each")
    parser.add_argument("--only", action="append", default=[], help="part of a detector's name")
    parser.add_argument("--batch", type=int, default=4, help="images in a step of torchvision's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--deepforest-python", type=Path, help="of an environment with deepforest")
    parser.add_argument("--results", type=Path, help="JSON-lines file to add the rows to")
    return parser.parse_args()


def _run_all(dataset: Dataset, options: argparse.Namespace) -> Iterator[PeerResult]:
    """Train and apply one detector after the other."""

    def is_wanted(name: str) -> bool:
        return not options.only or any(part.lower() in name.lower() for part in options.only)

    budget = {"minutes": options.minutes, "seed": options.seed}
    if is_wanted("geodet"):
        yield run_geodet(dataset, **budget)
    for name in filter(is_wanted, MODELS):
        yield run_torchvision(name, dataset, batch=options.batch, **budget)
    if is_wanted("DeepForest"):
        python, threads = options.deepforest_python, options.threads
        if python is None or not python.is_file():
            print("DeepForest: skipped, give --deepforest-python of an environment that has it")
        elif len(dataset.bands) not in (0, 1, 3):
            print("DeepForest: skipped, it takes red, green and blue")
        else:
            with tempfile.TemporaryDirectory() as folder:
                yield run_deepforest(dataset, Path(folder), python, threads=threads, **budget)


def _score(dataset: Dataset, result: PeerResult) -> dict[str, float]:
    return score_images(result.found or [], dataset.val, dataset.classes, dataset.config.match)


def _print(
    options: argparse.Namespace, rows: Sequence[tuple[PeerResult, dict[str, float]]]
) -> None:
    print_machine()
    table = Table(
        title=f"{options.task}, {options.minutes:g} minutes of training on {options.threads} "
        f"threads from random weights, seed {options.seed}"
    )
    columns = COLUMNS[options.task]
    for column in ("", *columns, "images/s", "training s", "images seen", "note"):
        table.add_column(column)
    for result, figures in rows:
        cells = [f"{figures[c]:.3f}" if c in figures else "-" for c in columns]
        numbers = f"{result.images_per_second:.2f}", f"{result.train_seconds:.0f}"
        table.add_row(result.name, *cells, *numbers, str(result.images_seen), result.note)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
