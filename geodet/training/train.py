"""Train a detector on a tileset: one loop that reads from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from geodet.config import Config
from geodet.errors import ConfigError, TilesetError
from geodet.files.output_folders import CHIPS_FOLDER, check_run
from geodet.files.outputs import check_apart
from geodet.models.depthwise import train_depthwise_in_float32
from geodet.models.description import find_model
from geodet.models.inputs import standardise
from geodet.models.retinanet import RetinaNet
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import Tileset
from geodet.tilesets.tileset import read_tileset
from geodet.training.band_statistics import BandStatistics, measure_bands
from geodet.training.best_model import BestModelKeeper, is_stale, warn_without_validation
from geodet.training.chip_loader import TrainingBatch, load_chips
from geodet.training.distributed import (
    disconnect_processes,
    launch_processes,
    mean_over_processes,
    synchronise_norms,
)
from geodet.training.epoch_steps import EpochMeter, EpochReport, StepGuard, StepReport
from geodet.training.fabric import Fabric
from geodet.training.int8_twin import write_int8
from geodet.training.losses import Target
from geodet.training.network_choice import choose_network
from geodet.training.objective import average_weights, build_loss, build_optimizer, build_schedule
from geodet.training.one_at_a_time import one_at_a_time
from geodet.training.run_folder import (
    RunLog,
    RunState,
    begin_run,
    check_settings,
    restore_model,
    resume_run,
    save_run,
)
from geodet.training.same_run import check_labels, digest_labels, digest_same_labels
from geodet.training.scene_chips import ScenesWithLabels, cut_for_run, data_of_chips
from geodet.training.trained_bands import trained_meanings, warn_of_unread_band
from geodet.training.training_page import write_training_report
from geodet.training.transfer import adopt_inputs, transfer_weights

__all__ = ["EpochReport", "StepReport", "TrainReport", "run_training"]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """Result of a training run.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> report = geodet.train(tiles, folder / "mine.safetensors", epochs=1, settings=small)
        >>> report.model.name
        'mine.safetensors'
    """

    model: Path
    """The model file."""
    best_epoch: int
    """The epoch whose weights the file holds, counted from 1."""
    best_f1: float
    """F1 on the validation chips; -1 without objects in any."""
    epochs: int
    """Trained epochs."""
    stopped_early: bool
    """Whether ``train.patience`` ended the run."""
    seconds: float
    """Duration of the run, or of its resumed part."""
    int8: Path | None = None
    """The model in eight-bit integers; None where it was not written."""
    best_f1_interval: tuple[float, float] | None = None
    """The 95 % confidence interval of the best F1, where fewer than 50 objects validate."""
    report: Path | None = None
    """The page with the curves, the figures and pictures; None where it was not written."""


@one_at_a_time
@torch.random.fork_rng(devices=[])
def run_training(
    data: Path | ScenesWithLabels,
    output: Path,
    config: Config,
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    labels_of: Path | None = None,
    command: str | None = None,
    progress: Callable[[EpochReport], None] = lambda _: None,
    step_progress: Callable[[StepReport], None] = lambda _: None,
    cut_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> TrainReport:
    """Train a detector and write its model file.

    The file holds the weights of the epoch with the best F1 on the validation chips, and the score
    threshold at that F1. The folder ``NAME.run`` beside ``NAME.safetensors`` holds the log, the
    state for ``resume``, a copy of the model and at the end ``report.html``, and with ``data`` from
    scenes the chips that were cut from them. Under ``torchrun`` the processes share the work.
    torch's random numbers are as before when the function returns.

    Args:
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`, or scenes to cut.
        output: The model file, ``.safetensors``.
        config: All settings.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: Continue the run of this output.
        overwrite: Replace an existing model.
        labels_of: The folder of a run that must have learnt from the same images and labels.
        command: The command line, for the report.
        progress: Called after each epoch.
        step_progress: Called after each step, in each process.
        cut_progress: Called with the number of windows of the scenes done and to do.

    Raises:
        TilesetError: The data has no training images, or nothing to learn from.
        OutputError: The model exists already, is that of ``train.init``, or cannot be written, or
            another run is writing it.
        TrainingError: The loss stays not finite, there is no run to resume, or ``labels_of`` has
            learnt from others.
        ConfigError: Settings do not fit the data, the processes or each other.
        DeviceError: This machine has no such device.
    """
    started = time.monotonic()
    settings = config.train
    folder = _check_output(output, settings.init, resume=resume, overwrite=overwrite)
    fabric = launch_processes(settings.precision, device)
    torch.default_generator.manual_seed(settings.seed)
    tileset, config = _read_data(data, folder, config, fabric, cut_progress, resume=resume)
    tileset, config = choose_network(tileset, config)
    statistics = _measure(tileset, config)
    loader, sampler = load_chips(tileset, statistics, config, fabric)
    network = _build(config, tileset, statistics, fabric)
    averaged = average_weights(network, settings.ema_decay)
    model, optimizer = fabric.setup(network, build_optimizer(network, settings))
    schedule = build_schedule(optimizer, settings, settings.epochs * len(loader))
    compute_loss = build_loss(settings, config.model, class_counts=_count_objects(tileset))
    guard = StepGuard(network, folder, is_main=fabric.is_global_zero)
    keep_if_best = BestModelKeeper(
        output, averaged, config, tileset, statistics, fabric.device, compute_loss
    )
    parts = {
        "network": network,
        "averaged": averaged,
        "optimizer": optimizer,
        "schedule": schedule,
        "guard": guard,
    }
    digest = digest_same_labels(tileset, folder, labels_of)
    state = resume_run(folder, parts, config, data=digest) if resume else RunState()
    restore_model(output, state, is_main=fabric.is_global_zero)

    begin_run(folder, config, resume=resume, is_main=fabric.is_global_zero, labels=digest)
    with RunLog(folder, epochs_done=state.epoch) as log:
        while state.epoch < settings.epochs and not is_stale(state, settings):
            sampler.epoch = state.epoch
            guard.begin_epoch(state.epoch + 1)
            model.train()
            meter = EpochMeter(state.epoch + 1, settings.epochs, len(loader), chips=sampler.drawn)
            for batch in loader:
                guard.begin_step()
                images, targets = _to_device(batch, statistics, fabric.device)
                losses = compute_loss(model(images), targets)
                loss = losses.classification + settings.box_weight * losses.box
                fabric.backward(loss)
                gradient = fabric.clip_gradients(
                    model, optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
                )
                found = mean_over_processes(torch.stack([loss, *losses, cast("Tensor", gradient)]))
                if guard.accepts(loss=found[0], gradient=found[3]):
                    optimizer.step()
                    schedule.step()
                    averaged.update_parameters(network)
                optimizer.zero_grad()
                step_progress(meter.add(found, rate=float(schedule.get_last_lr()[0])))
            guard.end_epoch()
            if fabric.is_global_zero:
                state.epoch += 1
                figures = meter.figures(skipped=guard.skipped) | keep_if_best(state)
                # A run that stops between the two trains the epoch again, and drops its row.
                log.write(state.epoch, figures)
                save_run(folder, state, parts, config, data=digest)
                progress(EpochReport(state.epoch, settings.epochs, figures))
            state = fabric.broadcast(state)
    disconnect_processes(fabric)
    return TrainReport(
        model=output,
        int8=write_int8(output, tileset, config) if fabric.is_global_zero else None,
        best_epoch=state.best_epoch,
        best_f1=state.best_f1,
        epochs=state.epoch,
        stopped_early=state.epoch < settings.epochs,
        seconds=time.monotonic() - started,
        best_f1_interval=(state.best_interval[0], state.best_interval[1])
        if state.best_interval
        else None,
        report=write_training_report(output, state, tileset, config, fabric.device, command)
        if fabric.is_global_zero
        else None,
    )


def _read_data(
    data: Path | ScenesWithLabels,
    folder: Path,
    config: Config,
    fabric: Fabric,
    progress: Callable[[int, int], None],
    *,
    resume: bool,
) -> tuple[Tileset, Config]:
    """Read the tileset; of scenes, after the first process has cut it.

    A run to resume is checked first: what it does not go on with must not replace its chips.

    Returns:
        The tileset, and the settings with the name of the data.
    """
    has_scenes = isinstance(data, ScenesWithLabels)
    began = check_settings(folder, config, has_scenes=has_scenes) if resume else ""
    if isinstance(data, Path):
        return read_tileset(data, config.data), config

    def check(chips: Path) -> None:
        if began:
            read = read_tileset(chips, data_of_chips(config))
            now = digest_labels(choose_network(read, config)[0])
            check_labels(folder, began=began, now=now)

    if fabric.is_global_zero:
        cut_for_run(data, folder, config, check=check, progress=progress)
    fabric.barrier()
    name = config.train.data_name or data.name
    named = config.model_copy(update={"train": config.train.model_copy(update={"data_name": name})})
    return read_tileset(folder / CHIPS_FOLDER, data_of_chips(config)), named


def _check_output(output: Path, init: str | None, *, resume: bool, overwrite: bool) -> Path:
    """Check that a model may be written, and not over its ``init``; return the run's folder."""
    if init:
        check_apart([output], [find_model(init)])
    return check_run(output, resume=resume, overwrite=overwrite)


def _measure(tileset: Tileset, config: Config) -> BandStatistics:
    """Measure the training chips, and check what else the model file needs to know of them."""
    images = tileset.split("train")
    if not images:
        raise TilesetError(
            f"{tileset.root} has no training images",
            hint="all of them are validation or test images; see data.val",
            path=tileset.root,
        )
    warn_without_validation(tileset)
    statistics = measure_bands(images, config.data.bands)
    warn_of_unread_band(config, tileset)
    names = config.data.band_names
    if names and len(names) != len(statistics.mean):
        raise ConfigError(
            f"data.band_names has {len(names)} names for {len(statistics.mean)} bands",
            hint="name each band that is used",
            key="data.band_names",
        )
    if not config.train.init:
        return statistics
    with open_image(images[0], config.data.bands) as first:
        dtype = first.dtype.name
    meanings = trained_meanings(config, tileset)
    return adopt_inputs(statistics, config.train.init, dtype, bands=meanings)


def _build(
    config: Config, tileset: Tileset, statistics: BandStatistics, fabric: Fabric
) -> RetinaNet:
    """Build the network with its first weights, on the device."""
    network = RetinaNet(
        config.model,
        bands=len(statistics.mean),
        classes=len(tileset.classes),
        weights=config.train.pretrained or None,
        prior=config.train.prior,
    )
    if config.train.init:
        gsds = [image.gsd for image in tileset.split("train") if image.gsd is not None]
        gsd = float(np.median(gsds)) if gsds else None
        transfer_weights(
            network,
            config.train.init,
            classes=tileset.classes,
            bands=trained_meanings(config, tileset),
            gsd=gsd,
        )
    network.backbone.freeze(config.train.frozen_stages)
    train_depthwise_in_float32(network)
    network.to(fabric.device).to(memory_format=torch.channels_last)
    if fabric.world_size > 1:
        synchronise_norms(network, fabric.device)
    return network


def _count_objects(tileset: Tileset) -> list[int]:
    """Count the training objects of each class."""
    labels = [image.labels for image in tileset.split("train")]
    counts = np.bincount(np.concatenate(labels), minlength=len(tileset.classes))
    return [int(count) for count in counts]


def _to_device(
    batch: TrainingBatch, statistics: BandStatistics, device: torch.device
) -> tuple[Tensor, list[Target]]:
    pixels, valid = batch.pixels.to(device), batch.valid.to(device)
    targets = [target.to(device) for target in batch.targets]
    return standardise(pixels, valid, statistics.mean, statistics.std), targets
