"""Label what `geodet suggest` names, or as many chips at random, and train on: which helps more?

A base model is trained without one city. Two thirds of the city's places are a pool whose labels
are unknown until they are asked for; the others, in their last year, are the test set. So many
chips are chosen from the pool, the true labels are the reviewer, and the base is trained on with a
fixed number of steps. Results are added to a file: the command continues where it was stopped, and
at the end it writes the plot and prints the table.

    python benchmarks/active_learning.py --folder runs/active --plot active-learning.webp
    python benchmarks/active_learning.py --base FILE --city riverside   # of places.py --keep
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lanes import append_result, read_results, spread
from rich.console import Console
from rich.table import Table

DATA = Path(__file__).parents[2] / "shared" / "data" / "urban-trees"
BATCH = 8
# A small network and small chips, for a machine without a GPU; the vehicles model, whose backbone
# is taken, has seen no tree labels.
LIGHT = (
    "model.channels=32",
    "model.head_convs=1",
    "train.chip_size=128",
    f"train.batch_size={BATCH}",
    "train.precision=float32",
    "train.int8=false",
    "train.workers=0",
)
# Stages of the backbone stay as they are: a step costs a third.
LIGHT_STEPS = ("train.learning_rate=1e-4", "train.frozen_stages=4")
# With a base model that was trained in earnest: its own network, and the rate of few-shot.
FULL = (f"train.batch_size={BATCH}", "train.int8=false", "train.workers=0", "train.pretrained=")
FULL_STEPS = ("train.learning_rate=3e-4",)
ARMS = ("random", "uncertainty", "disagreement")
CONTROL = "elsewhere"
"""Chips of the cities that the base knows: what the steps do without any label of the city."""
CHIP = 256
COLUMNS = (
    *("chips", "chosen by", "seeds", "objects", "F1, mean and standard deviation"),
    *("gain over the base on the same test set", "F1 at the best threshold of the test set"),
)
"""Of the table."""


def main() -> None:
    options = parse()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    from geodet_cli.process import prepare_process

    prepare_process("cpu")
    for name in ("geodet", "lightning_fabric"):  # each line is about the run's shortness
        logging.getLogger(name).setLevel(logging.ERROR)
    options.folder.mkdir(parents=True, exist_ok=True)
    results = options.folder / "results.jsonl"
    images = read_whole(options.data).images
    make_base(options, images)
    city = [image for image in images if city_of(image) == options.city]
    known = [one for one in images if city_of(one) != options.city and one.split == "train"]
    for seed in options.seeds:
        _, exam = divide(city, seed)
        if f"base | {seed}" not in read_results(results):
            base = options.folder / "base.safetensors"
            row = {"key": f"base | {seed}", "arm": "base", "seed": seed, "chips": 0, "objects": 0}
            append_result(results, row | score(base, exam))
    for budget in options.budgets:  # so that a series that is stopped has whole rows
        for seed in options.seeds:
            pool, exam = divide(city, seed)
            for arm in options.arms:
                run(options, results, known if arm == CONTROL else pool, exam, arm, budget, seed)
    show(read_results(results), options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--folder", type=Path, default=Path("runs/active"))
    parser.add_argument("--city", default="palm_springs", help="left out of the base model")
    parser.add_argument(
        "--base", type=Path, help="model that has not seen the city; unset: trained"
    )
    parser.add_argument("--epochs", type=int, default=1, help="of the base model")
    parser.add_argument("--budgets", type=int, nargs="+", default=[16, 32, 8], help="in chips")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=[*ARMS, CONTROL])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=40, help="that the base is trained on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


@functools.cache
def read_whole(data: Path) -> Any:
    """Read the tileset, once."""
    from geodet.config.recipes import resolve_config
    from geodet.tilesets.tileset import read_tileset

    return read_tileset(data, resolve_config("urban-trees").data)


def city_of(image: Any) -> str:
    """Return the city of an image CITY_YEAR_NUMBER.tif."""
    return str(image.path.stem.rpartition("_")[0].rpartition("_")[0])


def divide(city: Sequence[Any], seed: int) -> tuple[list[Any], list[Any]]:
    """Divide the places of a city into the pool, in all years, and the test set, in the last."""
    import numpy as np

    places = sorted({image.place for image in city})
    mixed = np.random.default_rng(seed).permutation(places).tolist()
    asked = set(mixed[len(places) // 3 :])
    years = {one.path: one.path.stem.split("_")[-2] for one in city}
    last = max(years.values())
    exam = [one for one in city if one.place not in asked and years[one.path] == last]
    return [one for one in city if one.place in asked], exam


def make_base(options: argparse.Namespace, images: Sequence[Any]) -> None:
    """Train the base model without the city, unless it is there."""
    done = options.folder / "base.done"
    if done.exists():
        return
    if options.base is not None:
        shutil.copyfile(options.base, options.folder / "base.safetensors")
        done.write_text(f"{options.base.name}\n")
        return
    others = [image for image in images if city_of(image) != options.city]
    settings = [f"train.epochs={options.epochs}", "train.init=vehicles", "train.ema_decay=0.99"]
    started = time.process_time()
    train(options, others, options.folder / "base.safetensors", settings)
    done.write_text(f"{time.process_time() - started:.0f} s\n")


def train(
    options: argparse.Namespace, images: Sequence[Any], output: Path, settings: Sequence[str]
) -> None:
    """Train on some images of the tileset."""
    import geodet.training.train as training
    from geodet.config.recipes import resolve_config
    from geodet.files.output_folders import run_folder
    from geodet.tilesets.labels import Tileset

    network = LIGHT if options.base is None else FULL
    config = resolve_config("urban-trees", settings=[*network, *settings])
    whole = read_whole(options.data)
    training.read_tileset = lambda *_: Tileset(whole.root, whole.classes, tuple(images))
    training.write_training_report = lambda *_: None  # its pictures take longer than a short run
    is_begun = run_folder(output).exists()
    training.run_training(options.data, output, config, device="cpu", resume=is_begun)


def run(
    options: argparse.Namespace,
    results: Path,
    pool: Sequence[Any],
    exam: Sequence[Any],
    arm: str,
    budget: int,
    seed: int,
) -> None:
    """Choose, label, train on and score, unless the file of results has it."""
    from dataclasses import replace

    key = f"{arm} | {budget} | {seed}"
    if key in read_results(results):
        return
    started = time.process_time()
    chosen = [replace(one, split="train") for one in choose(options, pool, arm, budget, seed)]
    output = options.folder / f"{arm}-{budget}-{seed}.safetensors"
    settings = [*(LIGHT_STEPS if options.base is None else FULL_STEPS), "train.ema_decay=0.95"]
    settings += [f"train.init={options.folder / 'base.safetensors'}", f"train.seed={seed}"]
    settings += ["train.epochs=1", f"train.epoch_chips={options.steps * BATCH}"]
    train(options, chosen, output, settings)
    row = {"key": key, "arm": arm, "seed": seed, "chips": budget}
    row |= {"objects": sum(len(one.boxes) for one in chosen), **score(output, exam)}
    row |= {"seconds": time.process_time() - started}
    append_result(results, row)
    print(row, flush=True)


def choose(
    options: argparse.Namespace, pool: Sequence[Any], arm: str, budget: int, seed: int
) -> list[Any]:
    """Choose chips of the pool."""
    import numpy as np

    if arm in ("random", CONTROL):
        rows = np.random.default_rng(1000 + seed).permutation(len(pool))[:budget]
        return [pool[row] for row in rows]
    from geodet.suggesting.spread import choose_spread

    values, centres = rate(options, arm)
    names = [image.path.name for image in pool]
    places = np.array([centres[name] for name in names])
    worth = np.array([values[name] for name in names])
    rows = choose_spread(worth, places, np.full(len(names), CHIP * 0.6), budget)
    return [pool[row] for row in rows.tolist()]


def rate(options: argparse.Namespace, rule: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Return what each image of the city is worth, and its centre, as `geodet suggest` does."""
    import pyogrio

    import geodet

    output = options.folder / f"{rule}.gpkg"
    if not output.exists():
        found = sorted((options.data / "images").glob(f"{options.city}_*.tif"))
        base = options.folder / "base.safetensors"
        geodet.suggest(
            found, output, base, budget=len(found), by=rule, chip_size=CHIP, device="cpu"
        )
    frame = pyogrio.read_dataframe(output, layer="suggestions")
    middle = frame.geometry.centroid
    places = dict(zip(frame["scene"], zip(middle.x, middle.y, strict=True), strict=True))
    return dict(zip(frame["scene"], frame["value"], strict=True)), places


def score(model: Path, images: Sequence[Any]) -> dict[str, float]:
    """Return F1 at the threshold of the base, and at the best threshold of the test set."""
    from geodet.config.recipes import resolve_config
    from geodet.detection.predictor import build_predictor
    from geodet.evaluation.evaluated_chips import compare_images, predict_images
    from geodet.evaluation.threshold_curves import trace_curve
    from geodet.models.checkpoint import load_checkpoint

    config = resolve_config("urban-trees", settings=["detect.precision=float32"])
    base = load_checkpoint(model.with_name("base.safetensors")).description.score_threshold
    loaded = load_checkpoint(model)
    predictor = build_predictor(loaded, config.detect, "cpu", score_threshold=0.05)
    found = predict_images(predictor, images, config.data.bands, config.detect)
    curve = trace_curve(compare_images(found, images, config.match))
    return {"f1": curve.at(base).f1, "best_f1": curve.best().f1}


def show(rows: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table, and draw the plot."""
    from common import print_machine

    print_machine()
    table = Table(title=f"The other places of {options.city}")
    for column in COLUMNS:
        table.add_column(column)
    base = {one["seed"]: one for one in rows.values() if one["arm"] == "base"}
    groups = sorted({(one["chips"], one["arm"]) for one in rows.values()})
    for chips, arm in groups:
        own = [one for one in rows.values() if (one["chips"], one["arm"]) == (chips, arm)]
        gains = [one["f1"] - base[one["seed"]]["f1"] for one in own]
        objects = sum(one["objects"] for one in own) / len(own)
        cells = [spread([one[name] for one in own]) for name in ("f1", "best_f1")]
        table.add_row(
            str(chips), arm, str(len(own)), f"{objects:.0f}", cells[0], spread(gains), cells[1]
        )
    Console(width=120).print(table)
    if options.plot is not None:
        plot(rows, options.plot)


def plot(rows: dict[str, dict[str, Any]], output: Path) -> None:
    """Draw the gain of F1 against chips and against objects, a line for each way to choose."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    base = {one["seed"]: one["f1"] for one in rows.values() if one["arm"] == "base"}
    rows = {key: one | {"gain": one["f1"] - base[one["seed"]]} for key, one in rows.items()}
    for arm, marker in zip((*ARMS, CONTROL), "so^x", strict=True):
        own = [one for one in rows.values() if one["arm"] == arm]
        if not own:
            continue
        budgets = sorted({one["chips"] for one in own})
        of_budget = [[one for one in own if one["chips"] == n] for n in budgets]
        means = [sum(one["gain"] for one in some) / len(some) for some in of_budget]
        objects = [sum(one["objects"] for one in some) / len(some) for some in of_budget]
        for axis, at, name in ((axes[0], budgets, "chips"), (axes[1], objects, "objects")):
            (line,) = axis.plot(at, means, marker=marker, label=arm)
            each = [one[name] for one in own], [one["gain"] for one in own]
            axis.plot(*each, marker, color=line.get_color(), alpha=0.35, markersize=4)
    for axis, name in zip(axes, ("labelled chips", "labelled objects"), strict=True):
        axis.axhline(0.0, color="grey", linestyle=":", label="not trained on")
        axis.set_xlabel(name)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("gain of F1 on other places")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    figure.savefig(output, dpi=100)


if __name__ == "__main__":
    main()
