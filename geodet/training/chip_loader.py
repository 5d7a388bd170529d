"""Batches of training chips: their order, their workers, and each process's share of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from geodet.config import Config
from geodet.errors import ConfigError
from geodet.geometry.arrays import Bools
from geodet.models.device import count_cores
from geodet.tilesets.labels import Tileset
from geodet.training.band_statistics import BandStatistics
from geodet.training.distributed import local_processes
from geodet.training.fabric import Fabric
from geodet.training.losses import Target
from geodet.training.training_chips import TrainingChips

__all__ = ["EpochSampler", "TrainingBatch", "collate", "load_chips"]


class TrainingBatch(NamedTuple):
    """N chips with their labels."""

    pixels: Tensor
    """(N, C, H, W) in the data's dtype, uint8 or float32."""
    valid: Tensor
    """(N, H, W) bool."""
    targets: list[Target]
    """N labels, one per chip."""


def load_chips(
    tileset: Tileset, statistics: BandStatistics, config: Config, fabric: Fabric
) -> tuple[DataLoader[Any], EpochSampler]:
    """Load the training chips in batches; each process gets its share of an epoch and of a batch.

    Raises:
        ConfigError: The batch size is no multiple of the number of processes, or too small for the
            batch norms.
    """
    settings = config.train
    _check_norms(config, processes=fabric.world_size)
    if settings.batch_size % fabric.world_size:
        raise ConfigError(
            f"train.batch_size {settings.batch_size} cannot be divided among {fabric.world_size} "
            "processes",
            hint="set it to a multiple of the number of processes",
            key="train.batch_size",
        )
    chips = TrainingChips(
        tileset.split("train"),
        bands=config.data.bands,
        statistics=statistics,
        augment=config.augment,
        chip_size=settings.chip_size,
        seed=settings.seed,
        oriented=config.model.boxes == "oriented",
        cache_bytes=settings.cache_mib * 2**20 // local_processes(),
    )
    sampler = EpochSampler(
        len(chips),
        seed=settings.seed,
        batch_size=settings.batch_size,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        fewest=settings.epoch_chips or 0,
    )
    workers = _choose_workers(settings.workers, fabric.device)
    chips.open_cache()
    loader: DataLoader[Any] = DataLoader(
        chips,
        batch_size=settings.batch_size // fabric.world_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=fabric.device.type == "cuda",
    )
    return loader, sampler


def _choose_workers(workers: int | None, device: torch.device) -> int:
    if workers is not None:
        return workers
    cores = count_cores() // local_processes()
    return min(8, cores - 1) if device.type == "cuda" and cores > 1 else 0


def _check_norms(config: Config, *, processes: int) -> None:
    """Check that every batch norm gets more than one value per step, which has no deviation.

    Batch norms measure the chips of all processes, so this fails only with one chip per step whose
    coarsest feature map is a single cell.

    Raises:
        ConfigError: A batch norm would get a single value.
    """
    settings, model = config.train, config.model
    levels = [model.backbone_level] * _backbone_learns(config)
    has_hidden = max(model.head_convs, model.convs_of_boxes) > 0
    levels += [model.levels[1]] * (model.head_norm == "batch" and has_hidden)
    stride = 2 ** max(levels, default=0)
    if settings.batch_size == processes == 1 and settings.chip_size <= stride:
        raise ConfigError(
            f"train.batch_size 1 with train.chip_size {settings.chip_size} gives a batch norm a "
            f"single value at stride {stride}",
            hint=f"set train.batch_size to 2 or more, or train.chip_size above {stride}, or "
            "model.backbone_norm and model.head_norm to group",
            key="train.batch_size",
        )


def _backbone_learns(config: Config) -> bool:
    """Whether the deepest stage of the backbone has batch norms that measure the chips."""
    is_frozen = config.train.frozen_stages >= config.model.backbone_level
    return config.model.backbone_norm == "batch" and not is_frozen


class EpochSampler(Sampler[int]):
    """All crops once per epoch in random order, distributed over the processes.

    The last batch is filled up with crops of the epoch, varied anew, so that every step has equally
    many chips. In each step several processes together get the chips that one process would get.

    Args:
        count: Number of crops.
        seed: Seed of the order.
        batch_size: Chips per step, over all processes.
        rank: Number of this process.
        world_size: Number of processes.
        fewest: Fewest chips of an epoch, over all processes; crops are drawn again, varied anew.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
        fewest: int = 0,
    ) -> None:
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        unit = math.lcm(batch_size, world_size)
        self.drawn = -(-max(count, fewest) // unit) * unit
        self.epoch = 0

    def __len__(self) -> int:
        return self.drawn // self.world_size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        rounds = -(-self.drawn // self.count)  # each gives its crops other indices
        for place in range(self.rank, self.drawn, self.world_size):
            again, crop = divmod(place, self.count)
            yield (self.epoch * rounds + again) * self.count + order[crop]


def collate(items: Sequence[tuple[NDArray[Any], Bools, Target]]) -> TrainingBatch:
    """Stack crops of one size into a batch."""
    pixels, valid, targets = zip(*items, strict=True)
    return TrainingBatch(
        torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(valid)), list(targets)
    )
