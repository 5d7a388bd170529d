"""The parts of a training run: processes, batches, optimizer, schedule, averaged weights."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from geodet.config import Config, TrainConfig
from geodet.detection.memory import keep_freed_memory
from geodet.errors import ConfigError
from geodet.models.device import resolve_device, resolve_precision
from geodet.tilesets.tileset import Tileset
from geodet.training.sampling import BandStatistics, EpochSampler, TrainingChips, collate

__all__ = [
    "averaged_weights",
    "build_optimizer",
    "build_schedule",
    "count_objects",
    "finish",
    "launch",
    "load_chips",
]


def launch(precision: str, device: str) -> Fabric:
    """Start Fabric on the device; under torchrun each process is one of its devices."""
    chosen = resolve_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    dtype = resolve_precision(precision, chosen)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = _local_processes()
    one = [chosen.index or 0] if chosen.type == "cuda" else 1
    fabric = Fabric(
        accelerator=chosen.type,
        devices=local if world > 1 else one,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
    )
    fabric.launch()
    return fabric


def _check_norms(config: Config, *, processes: int) -> None:
    """Refuse steps that leave a batch norm a single value, which has no deviation.

    Batch norms see the chips of all processes, so only one chip a step is too few, where the
    coarsest map of a chip is one cell.

    Raises:
        ConfigError: They would.
    """
    settings, model = config.train, config.model
    levels = [model.backbone_level] * _backbone_learns(config)
    levels += [model.levels[1]] * (model.head_norm == "batch" and model.head_convs > 0)
    stride = 2 ** max(levels, default=0)
    if settings.batch_size == processes == 1 and settings.chip_size <= stride:
        raise ConfigError(
            f"train.batch_size 1 with train.chip_size {settings.chip_size} leaves a batch norm one "
            f"value at stride {stride}",
            hint=f"set train.batch_size to 2 or more, or train.chip_size above {stride}, or "
            "model.backbone_norm and model.head_norm to group",
        )


def _backbone_learns(config: Config) -> bool:
    """Tell whether the deepest stage of the backbone has batch norms that measure the chips."""
    is_frozen = config.train.frozen_stages >= config.model.backbone_level
    return config.model.backbone_norm == "batch" and not is_frozen


def finish(fabric: Fabric) -> None:
    """End the connection of the processes.

    Left to the interpreter's exit, its threads may abort the process.
    """
    if fabric.world_size > 1:
        fabric.barrier()
        dist.destroy_process_group()


def load_chips(
    tileset: Tileset, statistics: BandStatistics, config: Config, fabric: Fabric
) -> tuple[DataLoader[Any], EpochSampler]:
    """Load the training chips; each process gets its share of an epoch and of a batch.

    Raises:
        ConfigError: The processes cannot share a batch, or batch norms cannot measure it.
    """
    settings = config.train
    _check_norms(config, processes=fabric.world_size)
    if settings.batch_size % fabric.world_size:
        raise ConfigError(
            f"train.batch_size {settings.batch_size} cannot be shared by {fabric.world_size} "
            "processes",
            hint="choose a multiple of their number",
        )
    chips = TrainingChips(
        tileset.split("train"),
        bands=config.data.bands,
        statistics=statistics,
        augment=config.augment,
        chip_size=settings.chip_size,
        seed=settings.seed,
        cache_bytes=settings.cache_mib * 2**20 // _local_processes(),
    )
    sampler = EpochSampler(
        len(chips),
        seed=settings.seed,
        batch_size=settings.batch_size,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
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
    cores = (os.cpu_count() or 1) // _local_processes()
    return min(8, cores - 1) if device.type == "cuda" and cores > 1 else 0


def _local_processes() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def count_objects(tileset: Tileset) -> list[int]:
    """Count the training objects of each class."""
    labels = [image.labels for image in tileset.split("train")]
    counts = np.bincount(np.concatenate(labels), minlength=len(tileset.classes))
    return [int(count) for count in counts]


def build_optimizer(network: nn.Module, config: TrainConfig) -> Optimizer:
    """Build the optimizer; biases and norms, all vectors, are not decayed."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def build_schedule(optimizer: Optimizer, config: TrainConfig, steps: int) -> LambdaLR:
    """Let the learning rate rise linearly, then fall along a cosine to zero, or in two steps.

    Args:
        optimizer: Its learning rate is the highest one.
        config: Holds the share of the steps that rise, and the kind of the fall.
        steps: All steps of the run.

    Reference:
        The cosine: Loshchilov & Hutter 2016, arXiv:1608.03983; the steps, 60,000 and 80,000 of
        90,000: arXiv:1708.02002, section 4.1, "Optimization"; the warm-up: Goyal et al. 2017,
        arXiv:1706.02677, section 2.2.
    """
    rising = max(1, round(steps * config.warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        if config.schedule == "step":
            return 0.1 ** ((3 * step >= 2 * steps) + (9 * step >= 8 * steps))
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return LambdaLR(optimizer, factor)


def averaged_weights(network: nn.Module, decay: float) -> AveragedModel:
    """Keep an exponential moving average of the weights and of the norms' statistics.

    Young averages decay faster, or the random first weights would stay in them for long.
    """

    @torch.no_grad()
    def average(means: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - now)
            else:
                mean.copy_(value)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
