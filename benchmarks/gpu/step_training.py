"""Training: what a step costs, part by part, and one run of a larger model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import torch
from harness import Setting
from measuring import Utilisation, peak_gpu_mib, settle
from painted import paint_targets, write_tileset

from geodet.config import Config
from geodet.config.recipes import resolve_config
from geodet.models.inputs import standardise
from geodet.models.retinanet import RetinaNet
from geodet.training.objective import build_loss, build_optimizer
from geodet.training.train import EpochReport, run_training

__all__ = ["steps", "training"]

Row = dict[str, Any]
_SHOWN = ("loss", "chips_per_second", "skipped_steps", "f1", "precision", "recall")


def steps(setting: Setting) -> Iterator[Row]:
    """Measure the parts of a step in bfloat16, by recipe and batch."""
    cases = [
        ("accurate", 16),
        ("urban-trees", 8),
        ("accurate", 64),
        ("urban-trees", 64),
        ("paper", 16),
    ]
    for recipe, batch in [("urban-trees", 2)] if setting.is_tiny else cases:
        config = resolve_config(recipe)
        size = 64 if setting.is_tiny else config.train.chip_size
        yield {"recipe": recipe, "batch": batch, "side": size} | _step(setting, config, batch, size)


def _step(setting: Setting, config: Config, batch: int, size: int) -> Row:
    device = setting.device
    network = RetinaNet(config.model, bands=3, classes=1).to(device)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(network, config.train)
    compute_loss = build_loss(config.train, config.model, class_counts=[1000])
    pixels, targets = paint_targets(batch, size)
    targets = [type(t)(*(part.to(device) for part in t)) for t in targets]
    valid = torch.ones(batch, size, size, dtype=torch.bool, device=device)
    parts: dict[str, list[float]] = {}
    peak_gpu_mib(reset=True)

    def lap(part: str, start: float) -> float:
        settle(device)
        now = time.perf_counter()
        parts.setdefault(part, []).append(now - start)
        return now

    for _ in range(2 if setting.is_tiny else 8):
        settle(device)
        begun = now = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, device == "cuda"):
            scaled = standardise(pixels.to(device), valid, [110.0] * 3, [50.0] * 3)
            outputs = network(scaled)
            now = lap("forward", now)
            losses = compute_loss(outputs, targets)
            now = lap("loss", now)
        (losses.classification + losses.box).backward()
        now = lap("backward", now)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lap("optimizer", now)
        lap("step", begun)
    medians = {name: sorted(times)[len(times) // 2] for name, times in parts.items()}
    row = {f"{name}, ms": 1e3 * taken for name, taken in medians.items()}
    return row | {"chips/s": batch / medians["step"], "GPU MiB": peak_gpu_mib()}


def training(setting: Setting) -> Iterator[Row]:
    """Train the recipe for GPUs as the tool does, epoch by epoch, until it is stopped."""
    data = setting.data
    if data is None:
        train_images, side = (2, 96) if setting.is_tiny else (24, 768)
        data = write_tileset(setting.folder / "tiles", train=train_images, val=2, side=side)
    changes: dict[str, dict[str, Any]] = {
        "train": {"pretrained": None, "epochs": 150, "validate_every": 10, "frozen_stages": 0}
    }
    changes["train"] |= {"workers": 8, "batch_size": 16}
    if setting.is_tiny:
        changes["train"] = {
            "epochs": 1,
            "workers": 0,
            "batch_size": 2,
            "chip_size": 64,
            "init": None,
        }
    recipe = "urban-trees" if setting.is_tiny else "accurate"
    flags = changes | {"data": {"gsd": 0.6}}
    config = resolve_config(recipe, flags=flags)
    config = config.model_copy(
        update={"train": config.train.model_copy(update=changes["train"])}  # None included
    )
    output = setting.folder / "trained.safetensors"
    with Utilisation(setting.device) as busy:
        for row in _epochs(data, output, config, setting.device):
            yield row | {"GPU busy, %": busy.percent, "GPU MiB": peak_gpu_mib()}


def _epochs(data: Path, output: Path, config: Config, device: str) -> Iterator[Row]:
    """Train in a thread, and give each epoch's figures when they are there."""
    started = time.monotonic()
    reports: Queue[EpochReport | BaseException | None] = Queue()

    def work() -> None:
        try:
            run_training(data, output, config, device=device, progress=reports.put)
            reports.put(None)
        except BaseException as error:
            reports.put(error)

    Thread(target=work, daemon=True).start()
    while (report := reports.get()) is not None:
        if isinstance(report, BaseException):
            raise report
        row = {"epoch": report.epoch, "seconds": time.monotonic() - started}
        yield row | {name: report.figures[name] for name in _SHOWN if name in report.figures}
