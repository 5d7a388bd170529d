"""The plan of a training and the duration of an epoch: ``geodet train --dry-run``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from geodet.config import Config
from geodet.errors import TilesetError
from geodet.models.depthwise import train_depthwise_in_float32
from geodet.models.device import resolve_device
from geodet.models.inputs import standardise
from geodet.models.retinanet import RetinaNet
from geodet.tilesets.labels import Tileset
from geodet.tilesets.tileset import read_tileset
from geodet.training.anchor_fit import best_overlaps, collect_objects
from geodet.training.band_statistics import BandStatistics, measure_bands
from geodet.training.chip_loader import load_chips
from geodet.training.distributed import name_precision
from geodet.training.fabric import Fabric
from geodet.training.network_choice import choose_network
from geodet.training.objective import build_loss
from geodet.training.proposals import Proposal, measure_crops, propose_settings
from geodet.training.scene_chips import ScenesWithLabels, cut_for_a_while, data_of_chips
from geodet.training.trained_bands import trained_meanings, warn_of_unread_band
from geodet.training.transfer import transfer_weights

__all__ = ["FirstWeights", "PartOfPlan", "TrainPlan", "plan_training"]

_STEPS_TIMED = 2


@dataclass(frozen=True, slots=True)
class PartOfPlan:
    """One part of the split."""

    images: int
    """Images."""
    objects: int
    """Labelled objects."""


@dataclass(frozen=True, slots=True)
class FirstWeights:
    """The parts that a training takes from the model that it starts from."""

    model: str
    """A bundled model's name, or a file."""
    taken: int
    """Tensors from that model, as a whole."""
    tensors: int
    """Tensors of the network."""
    new: tuple[str, ...]
    """Parts of the network with new weights, in whole or in part."""

    @property
    def summary(self) -> str:
        """One line, such as ``360 of 362 tensors from urban-trees; new: classifier.last``."""
        new = f"; new: {', '.join(self.new)}" if self.new else ""
        return f"{self.taken} of {self.tensors} tensors from {self.model}{new}"


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The plan of a training."""

    classes: dict[str, int]
    """Training objects by class."""
    train: PartOfPlan
    """The training images."""
    val: PartOfPlan
    """The validation images."""
    gsd: float | None
    """Median metres per pixel of the training images; None if unknown."""
    sides_px: tuple[float, float, float]
    """Longer sides of the training objects in pixels: quantiles of 1, 50 and 99 %."""
    anchor_sizes: tuple[float, ...]
    """Sides of the anchors, after they were fitted if need be."""
    anchor_recall: float
    """Share of the training objects that an anchor covers with an IoU of at least 0.5."""
    chip_size: int
    """Side of a training chip in pixels."""
    crops: int
    """Chips of an epoch."""
    crops_with_objects: float
    """Share of the chips that show an object, of images that have any."""
    epochs: int
    """Passes over the training chips."""
    steps: int
    """Steps of the whole training."""
    seconds_an_epoch: float
    """Estimated from two steps, without the validation."""
    device: str
    """The device on which it was measured."""
    proposals: tuple[Proposal, ...]
    """Settings that would suit the data better."""
    init: FirstWeights | None
    """The parts taken from the model ``train.init``; None without one."""


def plan_training(
    data: Path | ScenesWithLabels,
    config: Config,
    *,
    device: str = "auto",
    cut_progress: Callable[[int, int], None] | None = None,
) -> TrainPlan:
    """Read the data as a training would, time two steps, and write nothing that stays.

    Args:
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`, or scenes to cut.
        config: All settings.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        cut_progress: Called with the number of windows of the scenes done and to do.

    Raises:
        TilesetError: The data has no training images or no training objects.
        ConfigError: Settings do not fit the data or each other.
        DeviceError: This machine has no such device.
    """
    if isinstance(data, ScenesWithLabels):
        with cut_for_a_while(data, config, progress=cut_progress) as chips:
            read = config.model_copy(update={"data": data_of_chips(config)})
            return plan_training(chips, read, device=device)
    tileset = read_tileset(data, config.data)
    if not any(len(image.boxes) for image in tileset.split("train")):
        raise TilesetError(
            f"{data} has no training objects", hint="label some, or see data.val", path=data
        )
    tileset, config = choose_network(tileset, config)
    train, val = tileset.split("train"), tileset.split("val")
    objects = collect_objects(train)
    known = [image.gsd for image in train if image.gsd is not None]
    gsd = float(np.median(known)) if known else None
    where = resolve_device(device)
    statistics = measure_bands(train, config.data.bands)
    warn_of_unread_band(config, tileset)
    with torch.random.fork_rng(devices=[]):
        network = RetinaNet(config.model, bands=len(statistics.mean), classes=len(tileset.classes))
        init = _take_weights(network, config, tileset, gsd)
        crops, steps, seconds = _time_steps(network, tileset, config, statistics, where)
    labels = np.concatenate([image.labels for image in train])
    counts = np.bincount(labels, minlength=len(tileset.classes)).tolist()
    sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]).max(axis=1)
    low, middle, high = (float(side) for side in np.quantile(sides, [0.01, 0.5, 0.99]))
    return TrainPlan(
        classes=dict(zip(tileset.classes, counts, strict=True)),
        train=PartOfPlan(len(train), len(labels)),
        val=PartOfPlan(len(val), sum(len(image.boxes) for image in val)),
        gsd=gsd,
        sides_px=(low, middle, high),
        anchor_sizes=config.model.anchor_sizes,
        anchor_recall=float((best_overlaps(objects, config.model) >= 0.5).mean()),
        chip_size=config.train.chip_size,
        crops=crops,
        crops_with_objects=measure_crops(config, train, config.augment.object_share),
        epochs=config.train.epochs,
        steps=steps * config.train.epochs,
        seconds_an_epoch=seconds * steps,
        device=str(where),
        proposals=propose_settings(config, train, large=high),
        init=init,
    )


def _take_weights(
    network: RetinaNet, config: Config, tileset: Tileset, gsd: float | None
) -> FirstWeights | None:
    """Take the weights of a model as a training does, and say which."""
    name = config.train.init
    if not name:
        return None
    bands = trained_meanings(config, tileset)
    transfer = transfer_weights(network, name, classes=tileset.classes, bands=bands, gsd=gsd)
    taken = len(transfer.taken)
    return FirstWeights(name, taken, taken + len(transfer.fresh), tuple(transfer.fresh_parts))


def _time_steps(
    network: RetinaNet,
    tileset: Tileset,
    config: Config,
    statistics: BandStatistics,
    device: torch.device,
) -> tuple[int, int, float]:
    """Return the chips and the steps of an epoch, and the seconds of a step."""
    alone = config.model_copy(update={"train": config.train.model_copy(update={"workers": 0})})
    precision = name_precision(config.train.precision, device)
    fabric = Fabric(accelerator=device.type, devices=1, precision=precision)
    loader, sampler = load_chips(tileset, statistics, alone, fabric)
    train_depthwise_in_float32(network)
    network.to(device).to(memory_format=torch.channels_last).train()
    compute_loss = build_loss(config.train, config.model, class_counts=[1] * len(tileset.classes))
    seconds = []
    for batch in [*islice(loader, 1)] * _STEPS_TIMED:
        began = time.monotonic()
        targets = [target.to(device) for target in batch.targets]
        pixels, valid = batch.pixels.to(device), batch.valid.to(device)
        inputs = standardise(pixels, valid, statistics.mean, statistics.std)
        with fabric.autocast():  # as a training computes
            outputs = network(inputs)
        losses = compute_loss(outputs, targets)
        (losses.classification + losses.box).backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.monotonic() - began)
    return sampler.drawn, len(loader), min(seconds)
