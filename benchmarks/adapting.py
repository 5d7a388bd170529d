"""A model on a place that it has not seen, adapted in ways that need no labels of the place.

"norms" blends the statistics of the batch norms with those of the place's images (Li et al. 2016,
arXiv:1603.04779). "self-trained" trains on the known images and on the place's with the model's own
detections as labels; objects with a score between a half of the threshold and the threshold are
ignored there. "soup" trains on from the model on the known images, several times with other seeds
and rates, and averages the weights (Wortsman et al. 2022, arXiv:2203.05482); "member" is the first
of these. Results are added to a file: the command continues where it was stopped.

    python benchmarks/adapting.py vehicles --ways norms
    python benchmarks/adapting.py urban-trees --fold 2 --model FILE   # of places.py --keep
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lanes import append_result, read_results
from places import DATA, TASKS
from rich.console import Console
from rich.table import Table

SHARES = (0.1, 0.3, 1.0)
RATES = (3e-4, 5e-4, 2e-4, 4e-4, 1e-4)


@dataclass(frozen=True, slots=True)
class Case:
    """What all ways work on."""

    model: Path
    """The model file."""
    whole: Any
    """The tileset."""
    known: Sequence[Any]
    """Images that may train."""
    unseen: Sequence[Any]
    """Images of the place, whose labels only score."""
    config: Any
    """The recipe's settings."""
    options: argparse.Namespace
    """Of the command line."""


def main() -> None:
    options = _parse()
    # Before torch is loaded.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    for place in TASKS[options.task].folds[options.fold]:
        case = None
        for name, make in _ways(options):
            key = f"{options.task} | {options.model} | {place} | {name}"
            if key in read_results(options.results):
                continue
            case = case or _read(options, place)
            started = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                row = _score(make(case, Path(folder)), case)
            seconds = round(time.process_time() - started)
            row |= {"key": key, "task": options.task, "model": str(options.model)}
            row |= {"place": place, "way": name, "cpu_seconds": seconds}
            append_result(options.results, row)
            print(f"{key}: F1 {row['f1']:.3f}, at its best {row['own_best']:.3f}", flush=True)
    _print(list(read_results(options.results).values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--model", default="vehicles", help="that has not seen the fold's places")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--ways", nargs="+", default=["norms", "self-trained", "member", "soup"])
    parser.add_argument("--drawn", type=int, default=1000, help="chips that a training draws")
    parser.add_argument("--members", type=int, default=3, help="of a soup")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("adapting.jsonl"))
    return parser.parse_args()


def _ways(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[Case, Path], Path]]]:
    yield "unchanged", lambda case, _folder: case.model
    if "norms" in options.ways:
        for share in SHARES:
            yield f"norms, {share:g} from the images", _norms_of(share)
    if "self-trained" in options.ways:
        yield f"self-trained, {options.drawn} chips", _self_train
    for name, count in (("member", 1), ("soup", options.members)):
        if name in options.ways:
            yield f"{name}, {count} x {options.drawn} chips", _soup_of(count)


def _read(options: argparse.Namespace, place: str) -> Case:
    from geodet.config.recipes import resolve_config
    from geodet.models.description import find_model
    from geodet.tilesets.tileset import read_tileset
    from geodet_cli.process import prepare_process

    prepare_process("cpu")  # as the command line does
    task = TASKS[options.task]
    config = resolve_config(task.recipe, settings=["train.int8=false", "train.pretrained="])
    whole = read_tileset(options.data / options.task, config.data)
    left_out = task.folds[options.fold]
    place_of = {image.path: task.place(image.path.stem) for image in whole.images}
    known = [i for i in whole.images if place_of[i.path] not in left_out and i.split == "train"]
    unseen = [image for image in whole.images if place_of[image.path] == place]
    return Case(find_model(options.model), whole, known, unseen, config, options)


def _score(model: Path, case: Case) -> dict[str, Any]:
    """Return F1 at the threshold that the model came with, and at the best one."""
    from place_training import THRESHOLDS, trace_f1

    from geodet.models.description import load_description

    curve = trace_f1(model, case.unseen, case.config)
    own = load_description(case.model).score_threshold
    at = min(range(len(THRESHOLDS)), key=lambda i: abs(THRESHOLDS[i] - own))
    figures: dict[str, Any] = {name: curve[name][at] for name in ("f1", "precision", "recall")}
    return figures | {"threshold": THRESHOLDS[at], "own_best": max(curve["f1"])}


def _norms_of(share: float) -> Callable[[Case, Path], Path]:
    def make(case: Case, folder: Path) -> Path:
        from geodet.models.checkpoint import load_network, save_model

        network, about = load_network(case.model)
        blend_norms(network, about, case.unseen, case.config.data.bands, share)
        save_model(folder / "model.safetensors", network, about)
        return folder / "model.safetensors"

    return make


def blend_norms(
    network: Any, about: Any, images: Sequence[Any], bands: Sequence[int], share: float
) -> None:
    """Replace a share of the batch norms' statistics by those of images, in place.

    Args:
        network: Changed, and left in evaluation mode.
        about: Its description.
        images: Of the place.
        bands: To read, by number from 1; empty: all.
        share: Of the new statistics; 1: the old ones are forgotten.
    """
    import torch
    from torch import nn

    from geodet.models.inputs import standardise
    from geodet.tilesets.displayed_images import read_chip

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all images
        norm.train()
    with torch.inference_mode():
        for image in images:
            chip = read_chip(image, bands)  # its arrays may be read-only
            pixels, valid = torch.tensor(chip.pixels)[None], torch.tensor(chip.valid)[None]
            network(standardise(pixels, valid, about.mean, about.std))
    for norm, (mean, variance) in zip(norms, before, strict=True):
        norm.running_mean.lerp_(mean, 1 - share)
        norm.running_var.lerp_(variance, 1 - share)
    network.eval()


def _self_train(case: Case, folder: Path) -> Path:
    return _train(case, folder / "model.safetensors", [*case.known, *_label(case)], RATES[0], 0)


def _label(case: Case) -> list[Any]:
    """Return the place's images with the model's detections in place of their labels."""
    from geodet.detection.predictor import build_predictor
    from geodet.evaluation.evaluated_chips import predict_images
    from geodet.models.checkpoint import load_checkpoint

    model = load_checkpoint(case.model)
    threshold = model.description.score_threshold
    predictor = build_predictor(model, case.config.detect, "cpu", score_threshold=threshold / 2)
    found = predict_images(predictor, case.unseen, case.config.data.bands, case.config.detect)
    labelled = []
    for image, one in zip(case.unseen, found, strict=True):
        is_sure = one.scores >= threshold
        boxes = one.boxes.astype(float)
        kept = {"boxes": boxes[is_sure], "labels": one.labels[is_sure]}
        labelled.append(replace(image, ignored=boxes[~is_sure], **kept))
    return labelled


def _soup_of(count: int) -> Callable[[Case, Path], Path]:
    def make(case: Case, folder: Path) -> Path:
        members = [
            _train(case, folder / f"{seed}.safetensors", case.known, RATES[seed % len(RATES)], seed)
            for seed in range(count)
        ]
        return average_models(members, folder / "soup.safetensors")

    return make


def _train(case: Case, output: Path, images: Sequence[Any], rate: float, seed: int) -> Path:
    """Train on from the model, on a random share of the images in one pass."""
    import numpy as np
    from place_training import train_on

    side = case.config.train.chip_size
    crops = [max(1, round(image.width * image.height / side**2)) for image in images]
    order = np.random.default_rng(seed).permutation(len(images))
    count = int(np.searchsorted(np.array(crops)[order].cumsum(), case.options.drawn)) + 1
    changes = {"init": str(case.model), "epochs": 1, "epoch_chips": case.options.drawn}
    changes |= {"batch_size": 8, "learning_rate": rate, "seed": seed, "ema_decay": 0.99}
    config = case.config.model_copy(update={"train": case.config.train.model_copy(update=changes)})
    train_on(case.whole, [images[i] for i in order[:count]], config, output)
    return output


def average_models(files: Sequence[Path], output: Path) -> Path:
    """Write a model whose weights are the means of those of several, with the first's description.

    Args:
        files: Models of one network that began with the same weights.
        output: The file to write.
    """
    import torch

    from geodet.models.checkpoint import load_network, save_model

    network, about = load_network(files[0])
    states = [load_network(file)[0].state_dict() for file in files]
    mean = {
        key: torch.stack([state[key] for state in states]).mean(dim=0)
        if tensor.is_floating_point()
        else tensor
        for key, tensor in states[0].items()
    }
    network.load_state_dict(mean)
    save_model(output, network, about)
    return output


def _print(rows: Sequence[dict[str, Any]]) -> None:
    from common import print_machine

    print_machine()
    table = Table(title="A place that was not seen, without its labels")
    columns = ("F1", "precision", "recall", "F1 at its best threshold", "processor seconds")
    for column in ("model", "place", "way", *columns):
        table.add_column(column)
    for row in rows:
        figures = [f"{row[name]:.3f}" for name in ("f1", "precision", "recall", "own_best")]
        cells = (Path(row["model"]).stem, row["place"], row["way"])
        table.add_row(*cells, *figures, str(row["cpu_seconds"]))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
