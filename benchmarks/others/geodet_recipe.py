"""Geodet's own recipe, with as many epochs as the minutes allow."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import geodet.training.train
from geodet.config import Config, DataConfig
from geodet.detection.predictor import Predictor, build_predictor
from geodet.models.checkpoint import load_checkpoint
from geodet.models.model import Model
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet_cli.process import prepare_process
from others.chips import BATCH, Dataset
from others.result import PeerResult

_TRIAL_IMAGES = 48
_LOWEST_SCORE = 0.05  # what torchvision's detectors keep by default


def run_geodet(dataset: Dataset, *, minutes: float, seed: int) -> PeerResult:
    """Train by the recipe of the task and detect on the validation images."""
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    prepare_process("auto")  # as the command line does
    # A second epoch says how many fit: the first one also decodes the chips and warms up.
    ends: list[float] = []
    _train(dataset, dataset.train[:_TRIAL_IMAGES], epochs=2, seed=seed, ends=ends)
    trial = ends[1] - ends[0]
    crops = sum(_crops(image, dataset.config) for image in dataset.train)
    share = sum(_crops(image, dataset.config) for image in dataset.train[:_TRIAL_IMAGES]) / crops
    epochs = max(1, int(60 * minutes * share / trial))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.safetensors"
        seconds = _train(dataset, dataset.train, epochs=epochs, seed=seed, output=output)
        model = load_checkpoint(output)
        predictor = build_predictor(
            model, dataset.config.detect, "auto", score_threshold=_LOWEST_SCORE
        )
    chips = [read_chip(image, dataset.bands) for image in dataset.val]
    predictor(chips[:BATCH])
    start = time.perf_counter()
    found = [
        decoded.detections
        for i in range(0, len(chips), BATCH)
        for decoded in predictor(chips[i : i + BATCH])
    ]
    speed = len(chips) / (time.perf_counter() - start)
    name = f"geodet, recipe {dataset.name}"
    seen = float(epochs * len(dataset.train))
    return PeerResult(name, found, seconds, seen, speed, _describe(model, predictor))


def _train(
    dataset: Dataset,
    images: tuple[LabelledImage, ...],
    *,
    epochs: int,
    seed: int,
    output: Path | None = None,
    ends: list[float] | None = None,
) -> float:
    """Train on some images and give the seconds; without an output the model is thrown away.

    The moments at which epochs ended are added to a list.
    """
    ended = [] if ends is None else ends

    def training_half(_path: Path, _config: DataConfig) -> Tileset:
        return Tileset(dataset.root, dataset.classes, images)

    # Without validation images training does not validate: the peers do not either.
    geodet.training.train.read_tileset = training_half
    settings = dataset.config.train.model_copy(update={"epochs": epochs, "seed": seed})
    config = dataset.config.model_copy(update={"train": settings})
    with tempfile.TemporaryDirectory() as folder:
        path = output or Path(folder) / "trial.safetensors"
        report = geodet.training.train.run_training(
            dataset.root, path, config, progress=lambda _: ended.append(time.monotonic())
        )
    return report.seconds


def _crops(image: LabelledImage, config: Config) -> int:
    return max(1, round(image.width * image.height / config.train.chip_size**2))


def _describe(model: Model, predictor: Predictor) -> str:
    precision = predictor.precision
    weights = sum(p.numel() for p in model.network.parameters()) / 1e6
    return f"{weights:.1f} M weights, {precision}, images as they are"
