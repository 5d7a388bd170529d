"""Train a detector on a tileset: one loop that reads from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor

from geodet.config import Config
from geodet.errors import ConfigError, TilesetError
from geodet.models.inputs import standardise
from geodet.models.retinanet import RetinaNet
from geodet.tilesets.tileset import Tileset, read_tileset
from geodet.training.anchor_fit import settle_anchors
from geodet.training.criterion import build_criterion
from geodet.training.guard import StepGuard
from geodet.training.losses import Target
from geodet.training.meter import EpochReport, Meter, StepReport
from geodet.training.runs import (
    RunLog,
    RunState,
    begin_run,
    digest_labels,
    open_run,
    restore_model,
    resume_run,
    save_run,
)
from geodet.training.sampling import BandStatistics, TrainingBatch, measure_bands
from geodet.training.selection import Selection, is_stale
from geodet.training.setup import (
    averaged_weights,
    build_optimizer,
    build_schedule,
    count_objects,
    finish,
    launch,
    load_chips,
)
from geodet.training.sync_norm import synchronise_norms
from geodet.training.transfer import transfer_weights

__all__ = ["EpochReport", "StepReport", "TrainReport", "run_training"]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a run gave."""

    model: Path
    """The model file."""
    best_epoch: int
    """The epoch whose weights are in it, counted from 1."""
    best_f1: float
    """F1 on the validation chips; -1 when there are none."""
    epochs: int
    """Epochs that were trained."""
    stopped_early: bool
    """Whether ``train.patience`` ended it."""
    seconds: float
    """Of the whole run, or of its resumed part."""


def run_training(
    data: Path,
    output: Path,
    config: Config,
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[EpochReport], None] = lambda _: None,
    step_progress: Callable[[StepReport], None] = lambda _: None,
) -> TrainReport:
    """Train a detector and write its model file.

    The weights are those of the epoch with the best F1 on the validation chips, and the score
    threshold of that F1 goes into the model file. A folder ``NAME.run`` beside ``NAME.safetensors``
    holds the log, the state from which ``resume`` goes on, and a copy of the model. Under
    ``torchrun`` the processes share the work.

    Args:
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        output: The model file, ``.safetensors``.
        config: All settings.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: Go on with the run that this output belongs to.
        overwrite: Replace a model that is there.
        progress: Called after each epoch.
        step_progress: Called after each step, in each process.

    Raises:
        TilesetError: Nothing can be learned from the data.
        OutputError: The model is there already or cannot be written.
        TrainingError: The loss stays not finite, or there is nothing to resume.
        ConfigError: Settings do not fit the data, the processes or each other.
    """
    started = time.monotonic()
    settings = config.train
    folder = open_run(output, resume=resume, overwrite=overwrite)
    fabric = launch(settings.precision, device)
    seed_everything(settings.seed, verbose=False)
    tileset = read_tileset(data, config.data)
    config = settle_anchors(tileset, config)
    statistics = _measure(tileset, config)
    loader, sampler = load_chips(tileset, statistics, config, fabric)
    network = _build(config, tileset, statistics, fabric)
    averaged = averaged_weights(network, settings.ema_decay)
    model, optimizer = fabric.setup(network, build_optimizer(network, settings))
    schedule = build_schedule(optimizer, settings, settings.epochs * len(loader))
    criterion = build_criterion(settings, config.model, class_counts=count_objects(tileset))
    guard = StepGuard(network, folder, is_main=fabric.is_global_zero)
    keep_best = Selection(output, averaged, config, tileset, statistics, fabric.device)
    parts = {
        "network": network,
        "averaged": averaged,
        "optimizer": optimizer,
        "schedule": schedule,
        "guard": guard,
    }
    digest = digest_labels(tileset)
    done = resume_run(folder, parts, config, data=digest) if resume else RunState()
    restore_model(output, done, is_main=fabric.is_global_zero)

    begin_run(folder, resume=resume)
    with RunLog(folder, epochs_done=done.epoch) as log:
        while done.epoch < settings.epochs and not is_stale(done, settings):
            sampler.epoch = done.epoch
            guard.begin_epoch(done.epoch + 1)
            model.train()
            meter = Meter(done.epoch + 1, settings.epochs, len(loader), chips=sampler.drawn)
            for batch in loader:
                guard.begin_step()
                images, targets = _to_device(batch, statistics, fabric.device)
                losses = criterion(model(images), targets)
                loss = losses.classification + settings.box_weight * losses.box
                fabric.backward(loss)
                norm = fabric.clip_gradients(
                    model, optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
                )
                found = _mean_over_processes(fabric, loss, *losses, norm)
                if guard.accepts(loss=found[0], gradient=found[3]):
                    optimizer.step()
                    schedule.step()
                    averaged.update_parameters(network)
                optimizer.zero_grad()
                step_progress(meter.add(found, rate=float(schedule.get_last_lr()[0])))
            guard.end_epoch()
            if fabric.is_global_zero:
                done.epoch += 1
                figures = meter.figures(skipped=guard.skipped) | keep_best(done)
                save_run(folder, done, parts, config, data=digest)
                log.write(done.epoch, figures)
                progress(EpochReport(done.epoch, settings.epochs, figures))
            done = fabric.broadcast(done)
    finish(fabric)
    return TrainReport(
        model=output,
        best_epoch=done.best_epoch,
        best_f1=done.best_f1,
        epochs=done.epoch,
        stopped_early=done.epoch < settings.epochs,
        seconds=time.monotonic() - started,
    )


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


def _build(
    config: Config, tileset: Tileset, statistics: BandStatistics, fabric: Fabric
) -> RetinaNet:
    network = RetinaNet(
        config.model,
        bands=len(statistics.mean),
        classes=len(tileset.classes),
        weights=config.train.pretrained or None,
        prior=config.train.prior,
    )
    if config.train.init:
        transfer_weights(network, config.train.init)
    network.backbone.freeze(config.train.frozen_stages)
    network.to(fabric.device).to(memory_format=torch.channels_last)
    if fabric.world_size > 1:
        synchronise_norms(network, fabric.device)
    return network


def _to_device(
    batch: TrainingBatch, statistics: BandStatistics, device: torch.device
) -> tuple[Tensor, list[Target]]:
    pixels, valid = batch.pixels.to(device), batch.valid.to(device)
    targets = [Target(*(part.to(device) for part in target)) for target in batch.targets]
    return standardise(pixels, valid, statistics.mean, statistics.std), targets


def _mean_over_processes(fabric: Fabric, *values: Tensor | None) -> Tensor:
    """Average scalars over the processes, so that all of them decide alike: one a value."""
    stacked = torch.stack([value.detach() for value in values if value is not None])
    mean = fabric.all_reduce(stacked, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean
