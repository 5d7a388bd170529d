"""Train a detector on a tileset: one loop that reads from top to bottom."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import seed_everything
from torch import Tensor

from geodet.config import Config
from geodet.device import resolve_precision
from geodet.errors import ConfigError, TilesetError, TrainingError
from geodet.inference import Predictor
from geodet.metrics import Scores, best_scores
from geodet.models.checkpoint import ModelDescription, save_model
from geodet.models.inputs import standardise
from geodet.models.losses import RetinaNetLoss, Target
from geodet.models.matcher import IouMatcher
from geodet.models.retinanet import RetinaNet
from geodet.runs import RunLog, RunState, begin_run, open_run, resume_run, save_run
from geodet.sampling import (
    BandStatistics,
    Batch,
    measure_bands,
)
from geodet.scene import Scene
from geodet.tilesets.tileset import Tileset, read_tileset
from geodet.training import (
    averaged_weights,
    build_optimizer,
    build_schedule,
    finish,
    launch,
    load_chips,
)
from geodet.validation import compare_images, predict_images

__all__ = ["EpochReport", "TrainReport", "train"]

logger = logging.getLogger(__name__)

_DEFAULT_THRESHOLD = 0.3  # of a model that nothing validated
_DEFAULT_IOU = 0.5  # Lin et al. 2017, section 4.1, "Inference"
_LOWEST_SCORE = 0.05  # of the detections that validation looks at


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What an epoch gave."""

    epoch: int
    """Counted from 1."""
    epochs: int
    """Of the whole run."""
    figures: dict[str, float]
    """Losses, learning rate, chips a second, and the validation where there was one."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a run gave."""

    model: Path
    """The model file."""
    best_epoch: int
    """The epoch whose weights are in it, counted from 1."""
    best_f1: float
    """F1 on the validation chips; -1 when there are none."""
    seconds: float
    """Of the whole run, or of its resumed part."""


def train(
    data: Path,
    output: Path,
    config: Config,
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[EpochReport], None] = lambda _: None,
) -> TrainReport:
    """Train a detector and write its model file.

    The weights are those of the epoch with the best F1 on the validation chips, and the score
    threshold of that F1 goes into the model file. A folder ``NAME.run`` beside ``NAME.safetensors``
    holds the log and the state from which ``resume`` goes on. Under ``torchrun`` the processes
    share the work.

    Args:
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        output: The model file, ``.safetensors``.
        config: All settings.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: Go on with the run that this output belongs to.
        overwrite: Replace a model that is there.
        progress: Called after each epoch.

    Raises:
        TilesetError: Nothing can be learned from the data.
        OutputError: The model is there already or cannot be written.
        TrainingError: The loss is not finite, or there is nothing to resume.
    """
    started = time.monotonic()
    settings = config.train
    folder = open_run(output, resume=resume, overwrite=overwrite)
    fabric = launch(settings.precision, device)
    seed_everything(settings.seed, verbose=False)
    tileset = read_tileset(data, config.data)
    statistics = _measure(tileset, config)
    loader, sampler = load_chips(tileset, statistics, config, fabric)
    network = _build(config, tileset, statistics).to(fabric.device)
    averaged = averaged_weights(network, settings.ema_decay)
    mean_network = averaged.module
    assert isinstance(mean_network, RetinaNet)
    model, optimizer = fabric.setup(network, build_optimizer(network, settings))
    schedule = build_schedule(optimizer, settings, settings.epochs * len(loader))
    criterion = RetinaNetLoss(
        IouMatcher(settings.positive_iou, settings.negative_iou),
        settings.focal_alpha,
        settings.focal_gamma,
    )
    parts = {"network": network, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}
    done = resume_run(folder, parts, config) if resume else RunState()

    begin_run(folder, resume=resume)
    with RunLog(folder, epochs_done=done.epoch) as log:
        for epoch in range(done.epoch, settings.epochs):
            sampler.epoch = epoch
            model.train()
            tick, sums = time.monotonic(), torch.zeros(3)
            for batch in loader:
                images, targets = _to_device(batch, statistics, fabric.device)
                losses = criterion(model(images), targets)
                loss = losses.classification + settings.box_weight * losses.box
                _check_finite("loss", loss, epoch, folder)
                fabric.backward(loss)
                norm = fabric.clip_gradients(
                    model, optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
                )
                _check_finite("gradient", norm, epoch, folder)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                averaged.update_parameters(network)
                sums += torch.stack([loss, *losses]).detach().cpu()
            figures = {
                **dict(zip(_LOSSES, (sums / len(loader)).tolist(), strict=True)),
                "learning_rate": schedule.get_last_lr()[0],
                "chips_per_second": len(sampler) / (time.monotonic() - tick),
            }
            if fabric.is_global_zero:
                if (epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs:
                    scores = _validate(mean_network, tileset, statistics, config, fabric.device)
                    figures |= _validation_figures(scores)
                    if figures["f1"] >= done.best_f1:
                        done.best_f1, done.best_epoch = figures["f1"], epoch + 1
                        description = _describe(output, config, tileset, statistics, scores)
                        save_model(output, mean_network, description)
                done.epoch = epoch + 1
                save_run(folder, done, parts, config)
                log.write(epoch + 1, figures)
                progress(EpochReport(epoch + 1, settings.epochs, figures))
            fabric.barrier()
    done = finish(fabric, done)
    return TrainReport(output, done.best_epoch, done.best_f1, time.monotonic() - started)


_LOSSES = ("loss", "classification_loss", "box_loss")


def _measure(tileset: Tileset, config: Config) -> BandStatistics:
    """Measure the training chips, and refuse what would fail when the model is written."""
    images = tileset.split("train")
    if not images:
        raise TilesetError(
            f"{tileset.root} has no training images", hint="all of them validate; see data.val"
        )
    statistics = measure_bands(images, config.data.bands)
    names = config.data.band_names
    if names and len(names) != len(statistics.mean):
        raise ConfigError(
            f"data.band_names has {len(names)} names for {len(statistics.mean)} bands",
            hint="name each band that is used",
        )
    return statistics


def _build(config: Config, tileset: Tileset, statistics: BandStatistics) -> RetinaNet:
    network = RetinaNet(
        config.model,
        bands=len(statistics.mean),
        classes=len(tileset.classes),
        weights=config.train.pretrained,
    )
    return network.to(memory_format=torch.channels_last)


def _to_device(
    batch: Batch, statistics: BandStatistics, device: torch.device
) -> tuple[Tensor, list[Target]]:
    pixels, valid = batch.pixels.to(device), batch.valid.to(device)
    targets = [Target(*(part.to(device) for part in target)) for target in batch.targets]
    return standardise(pixels, valid, statistics.mean, statistics.std), targets


def _check_finite(name: str, value: Tensor | None, epoch: int, folder: Path) -> None:
    if value is not None and not torch.isfinite(value):
        raise TrainingError(
            f"the {name} became {value.item()} in epoch {epoch + 1}",
            hint="lower train.learning_rate or raise train.warmup; the state before this epoch is "
            f"in {folder}",
        )


def _validate(
    network: RetinaNet,
    tileset: Tileset,
    statistics: BandStatistics,
    config: Config,
    device: torch.device,
) -> Scores | None:
    """Score the averaged weights on the validation chips; None when there are none."""
    images = tileset.split("val")
    if not images:
        return None
    predictor = Predictor(
        network.eval(),
        device=device,
        precision=resolve_precision(config.train.precision, device),
        mean=statistics.mean,
        std=statistics.std,
        score_threshold=_LOWEST_SCORE,
        iou_threshold=config.detect.iou_threshold or _DEFAULT_IOU,
        max_candidates=config.detect.max_candidates,
    )
    found = predict_images(predictor, images, config.data.bands)
    return best_scores(compare_images(found, images, config.match), lowest=_LOWEST_SCORE)


def _validation_figures(scores: Scores | None) -> dict[str, float]:
    if scores is None:
        return {"f1": -1.0}
    return {
        "f1": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "score_threshold": scores.threshold,
    }


def _describe(
    output: Path,
    config: Config,
    tileset: Tileset,
    statistics: BandStatistics,
    scores: Scores | None,
) -> ModelDescription:
    images = tileset.split("train")
    with Scene(images[0].path, bands=config.data.bands) as scene:
        bands, dtype = config.data.band_names or scene.band_names, scene.dtype.name
    distances = [image.gsd for image in tileset.images if image.gsd is not None]
    return ModelDescription(
        name=config.train.model_name or output.stem,
        description=config.train.description,
        architecture=config.model,
        classes=tileset.classes,
        bands=bands,
        dtype=dtype,
        **{key: tuple(values) for key, values in statistics._asdict().items()},
        gsd=sorted(distances)[len(distances) // 2] if distances else None,
        score_threshold=scores.threshold if scores else _DEFAULT_THRESHOLD,
        iou_threshold=config.detect.iou_threshold or _DEFAULT_IOU,
        training={
            "data": config.train.data_name or tileset.root.name,
            "train_images": len(images),
            "train_objects": sum(len(image.boxes) for image in images),
            "val_images": len(tileset.split("val")),
            "val_objects": sum(len(image.boxes) for image in tileset.split("val")),
            "epochs": config.train.epochs,
            "seed": config.train.seed,
        },
        figures={} if scores is None else _validation_figures(scores),
    )
