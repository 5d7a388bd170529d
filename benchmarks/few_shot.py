"""A model adapted to a few labelled chips of a new place, and a training from nothing on the same.

The base is a model that was trained without the city, such as `places.py --keep` leaves. Chips of
some of the city's places, of one year each, train by the recipe few-shot; all chips of its other
places are scored. The score threshold is the one that is best on the labelled chips, which is what
a user has. "From nothing" is the same network and training, from random weights or from those of
``--pretrained``. A ``--variant`` adapts with settings other than the recipe's. Results are added to
a file: the command continues where it was stopped, and without a base it prints what the file
holds.

    python benchmarks/few_shot.py --base FILE.safetensors --cities riverside santa_monica
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanes import append_result, read_results, spread
from places import DATA, TASKS
from rich.console import Console
from rich.table import Table

TASK = TASKS["urban-trees"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One training, or the base as it is."""

    city: str
    chips: int
    way: str
    seed: int
    drawn: int

    @property
    def key(self) -> str:
        """Name the run in the file of results."""
        return (
            f"{self.city} | {self.chips} labelled | {self.way} | {self.drawn} drawn "
            f"| seed {self.seed}"
        )


def main() -> None:
    options = _parse()
    # Before torch is loaded.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    for shot in plan(options) if options.base else ():
        if shot.key not in read_results(options.results):
            started = time.process_time()
            row: dict[str, Any] = {"key": shot.key, "city": shot.city, "chips": shot.chips}
            row |= {"way": shot.way, "seed": shot.seed, "drawn": shot.drawn}
            row |= _train_and_score(shot, options)
            row["cpu_seconds"] = round(time.process_time() - started)
            append_result(options.results, row)
            print(f"{shot.key}: F1 {row['f1']:.3f}, {row['cpu_seconds']} s", flush=True)
    _print(list(read_results(options.results).values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="a model that has not seen the cities")
    parser.add_argument("--cities", nargs="+", default=["riverside", "santa_monica"])
    parser.add_argument("--shots", type=int, nargs="+", default=[10, 25, 50, 100])
    parser.add_argument("--ways", nargs="*", default=["adapted", "from nothing"])
    parser.add_argument("--drawn", type=int, default=2000, help="chips that a training draws")
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE")
    )
    parser.add_argument("--pretrained", default="", help="first weights of 'from nothing'")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("few_shot.jsonl"))
    options = parser.parse_args()
    options.variants = {name: settings for name, *settings in options.variant}
    options.ways += options.variants
    return options


def plan(options: argparse.Namespace) -> Iterator[Shot]:
    """Yield the runs, all of the first seed first, and before each row the base as it is."""
    for seed in options.seeds:
        for chips in options.shots:
            for way in ("base", *options.ways):
                for city in options.cities:
                    yield Shot(city, chips, way, seed, 0 if way == "base" else options.drawn)


def divide(images: Sequence[Any], chips: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Choose images to label, and those of all other places.

    Each is of another place, as long as two thirds of the places are enough; then places give
    images of several years. Of one seed, the places of few chips are among those of more.

    Args:
        images: Of a city.
        chips: To label.
        seed: Of the choice.
    """
    import numpy as np

    draws = np.random.default_rng(seed)
    places = draws.permutation(sorted({image.place for image in images})).tolist()
    asked = set(places[: min(chips, len(places) * 2 // 3)])
    rounds = -(-chips // len(asked))  # where there are too few places, several years of each
    labelled = []
    for place in places[: len(asked)]:
        of_place = [image for image in images if image.place == place]
        labelled += [of_place[i] for i in draws.permutation(len(of_place))[:rounds]]
    return labelled[:chips], [image for image in images if image.place not in asked]


def _train_and_score(shot: Shot, options: argparse.Namespace) -> dict[str, Any]:
    from place_training import THRESHOLDS, best_index, trace_f1, train_on

    from geodet.config.recipes import resolve_config
    from geodet.tilesets.tileset import read_tileset
    from geodet_cli.process import prepare_process

    prepare_process("cpu")  # as the command line does
    init = "" if shot.way == "from nothing" else str(options.base)
    settings = [f"train.init={init}", "train.int8=false", f"train.seed={shot.seed}"]
    settings += ["data.bands=[1,2,3]", 'data.band_names=["red","green","blue"]']
    if shot.way == "from nothing":  # a new network needs larger steps
        settings += [f"train.pretrained={options.pretrained}", "train.learning_rate=1e-3"]
    epochs = 10  # of the recipe
    settings += [f"train.epochs={epochs}", f"train.epoch_chips={max(1, shot.drawn // epochs)}"]
    settings += options.variants.get(shot.way, [])
    config = resolve_config("few-shot", settings=settings)
    whole = read_tileset(options.data / "urban-trees", config.data)
    own = [image for image in whole.images if TASK.place(image.path.stem) == shot.city]
    labelled, others = divide(own, shot.chips, shot.seed)
    with tempfile.TemporaryDirectory() as folder:
        model = options.base
        if shot.way != "base":
            model = Path(folder) / "model.safetensors"
            train_on(whole, labelled, config, model)
        chosen, curve = trace_f1(model, labelled, config), trace_f1(model, others, config)
    at = best_index(chosen)
    return {
        "labelled": len(labelled),
        "objects": sum(len(image.boxes) for image in labelled),
        "scored": len(others),
        "threshold": THRESHOLDS[at],
        "f1": curve["f1"][at],
        "precision": curve["precision"][at],
        "recall": curve["recall"][at],
        "own_best": max(curve["f1"]),
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    from common import print_machine

    print_machine()
    cities = list(dict.fromkeys(row["city"] for row in rows))
    table = Table(
        title="F1 at the threshold of the labelled chips (at the best of the scored ones)"
    )
    for column in ("labelled chips", "way", *cities, "seeds", "processor seconds"):
        table.add_column(column)
    for chips, way in dict.fromkeys((row["chips"], row["way"]) for row in rows):
        own = [row for row in rows if (row["chips"], row["way"]) == (chips, way)]
        cells = []
        for city in cities:
            here = [row for row in own if row["city"] == city]
            best = spread([row["own_best"] for row in here])
            cells.append(f"{spread([row['f1'] for row in here])} ({best})")
        seeds = str(len({row["seed"] for row in own}))
        seconds = spread([row["cpu_seconds"] for row in own], digits=0)
        table.add_row(str(chips), way, *cells, seeds, seconds)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
