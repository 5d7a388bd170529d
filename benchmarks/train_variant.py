"""One run of the ablations: train a variant on so many chips, score it on the validation images."""

from __future__ import annotations

import logging
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scoring import LOWEST_SCORE, score_images
from variants import Run

import geodet.training.train
from geodet.config import Config, DataConfig
from geodet.detection.predictor import build_predictor
from geodet.errors import TrainingError
from geodet.evaluation import evaluated_chips as validation
from geodet.models.checkpoint import load_checkpoint
from geodet.raster.chip import Chip
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.tileset import read_tileset
from geodet.training import band_statistics, training_chips
from geodet_cli.process import prepare_process

_LABELLED = cache(read_tileset)
_DECODED: dict[tuple[Path, tuple[int, ...]], Chip] = {}
_READ_CHIP = training_chips.read_chip


def train_variant(run: Run, *, data: str, threads: int) -> dict[str, Any]:
    """Train and score; what goes wrong is an outcome as well.

    Args:
        run: What to train.
        data: The data root.
        threads: Of torch.
    """
    torch.set_num_threads(threads)
    prepare_process("cpu")  # as the command line does
    for name in ("geodet", "lightning_fabric"):  # every line is about the run's shortness
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in (band_statistics, training_chips, validation):
        module.read_chip = _read_once  # type: ignore[attr-defined]
    started = time.monotonic()
    try:
        figures = _train(run, Path(data) / run.task)
    except TrainingError as error:
        return {"outcome": "diverged", "why": str(error)}
    except Exception as error:  # an evening's series does not stop at one run
        return {"outcome": "failed", "why": f"{type(error).__name__}: {error}"}
    return {"outcome": "trained", "figures": figures, "seconds": time.monotonic() - started}


def _read_once(image: LabelledImage, bands: Any) -> Chip:
    """Decode an image once in a process, whatever the number of runs."""
    key = image.path, tuple(bands)
    if key not in _DECODED:
        _DECODED[key] = _READ_CHIP(image, bands)
    return _DECODED[key]


def _train(run: Run, data: Path) -> dict[str, float]:
    config = run.resolve()
    whole = _LABELLED(data, config.data)
    part, epochs = _share(whole, run, config)
    config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": epochs})})

    def training_half(_path: Path, _config: DataConfig) -> Tileset:
        return part

    # Without validation images training does not validate: scoring follows, at lower scores.
    geodet.training.train.read_tileset = training_half
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.safetensors"
        geodet.training.train.run_training(data, output, config, device="cpu")
        return _score(output, whole, config)


def _share(tileset: Tileset, run: Run, config: Config) -> tuple[Tileset, int]:
    """Choose training images that give the wanted number of chips, and the epochs."""
    images = tileset.split("train")
    area = config.train.chip_size**2
    crops = np.array([max(1, round(image.width * image.height / area)) for image in images])
    epochs = max(1, round(run.chips / crops.sum()))
    order = np.random.default_rng(run.seed).permutation(len(images))
    count = int(np.searchsorted(crops[order].cumsum(), run.chips / epochs)) + 1
    chosen = tuple(images[i] for i in sorted(order[:count]))
    return Tileset(tileset.root, tileset.classes, chosen), epochs


def _score(model: Path, tileset: Tileset, config: Config) -> dict[str, float]:
    images = tileset.split("val")
    predictor = build_predictor(
        load_checkpoint(model), config.detect, "cpu", score_threshold=LOWEST_SCORE
    )
    found = validation.predict_images(predictor, images, config.data.bands)
    return score_images(found, images, tileset.classes, config.match)
