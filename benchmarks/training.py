"""How fast train is beside the plain loop of torchvision's detection references.

Both train the same network with the same loss on the same chips, one epoch in turn in one process;
quote the ratio, not the chips a second. The plain loop is references/detection/engine.py: float32,
contiguous tensors, every image decoded at every access, no workers, plain SGD. train has all that
it has: bfloat16 where the hardware has it, channels-last, decoded images in memory, augmentation,
clipping, averaged weights.

    python benchmarks/training.py [--chips 64] [--epochs 4] [--backbone resnet18] [--device auto]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import print_machine
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from geodet.config import Config
from geodet.config.recipes import resolve_config
from geodet.demo.town import paint_town
from geodet.models.device import resolve_device
from geodet.models.retinanet import RetinaNet
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.tileset import read_tileset
from geodet.training.losses import RetinaNetLoss, Target
from geodet.training.objective import build_loss
from geodet.training.train import EpochReport, run_training
from geodet_cli.process import prepare_process

_SIDE = 256
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    options = _parse()
    prepare_process(options.device)  # as the command line does
    device = resolve_device(options.device)
    settings = [
        f"train.epochs={options.epochs}",
        f"train.batch_size={options.batch_size}",
        f"model.backbone={options.backbone}",
        *options.set,
    ]
    config = resolve_config(settings=settings)
    ours: list[float] = []
    plain: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        data = _write_chips(Path(name), options.chips)
        loop = PlainLoop(data, config, device)

        def both(report: EpochReport) -> None:
            ours.append(report.figures["chips_per_second"])
            plain.append(loop.run_epoch())

        output = Path(name) / "model.safetensors"
        run_training(data, output, config, device=options.device, progress=both)
    _print(options, ours, plain)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4, help="the first one warms up")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


def _write_chips(folder: Path, count: int) -> Path:
    """Cut a painted town into PNG chips with the boxes of its trees; one more validates."""
    columns = math.ceil(math.sqrt(count + 1))
    town = paint_town(columns * _SIDE, columns * _SIDE, seed=7, gsd=0.6)
    reach = town.radii[:, None]
    boxes = np.concatenate([town.centres - reach, town.centres + reach], axis=1)
    content: dict[str, dict[str, Any]] = {
        part: {"images": [], "annotations": [], "categories": [{"id": 1, "name": "tree"}]}
        for part in ("train", "val")
    }
    for number in range(count + 1):
        part = content["train" if number < count else "val"]
        top, left = (_SIDE * place for place in divmod(number, columns))
        name = f"{number}.png"
        pixels = town.pixels[:, top : top + _SIDE, left : left + _SIDE]
        Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(folder / name)
        part["images"].append(
            {"id": number, "file_name": name, "width": _SIDE, "height": _SIDE, "place": name}
        )
        part["annotations"] += _annotations(boxes - [left, top, left, top], number)
    for name, labels in content.items():
        (folder / f"{name}.json").write_text(json.dumps(labels), encoding="utf-8")
    return folder


def _annotations(boxes: Any, image: int) -> list[dict[str, Any]]:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return [
        {
            "id": 100_000 * image + number,
            "image_id": image,
            "category_id": 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "iscrowd": 0,
        }
        for number, (x1, y1, x2, y2) in enumerate(
            boxes[np.all((centres >= 0) & (centres < _SIDE), axis=1)].clip(0, _SIDE).tolist()
        )
    ]


class PlainChips(Dataset[tuple[Tensor, Target]]):
    """Chips as the reference reads them: decoded at each access, flipped half of the time."""

    def __init__(self, images: tuple[LabelledImage, ...]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        image = self.images[index]
        pixels = torch.from_numpy(np.array(Image.open(image.path).convert("RGB")))
        pixels = pixels.permute(2, 0, 1).contiguous().float() / 255
        boxes = torch.from_numpy(image.boxes).float()
        if random.random() < 0.5:
            pixels = pixels.flip(-1)
            boxes[:, [0, 2]] = image.width - boxes[:, [2, 0]]
        return pixels, Target(boxes, torch.from_numpy(image.labels), torch.zeros(0, 4))


class PlainLoop:
    """``train_one_epoch`` of torchvision's references/detection, with our network and loss."""

    def __init__(self, data: Path, config: Config, device: torch.device) -> None:
        tileset = read_tileset(data, config.data)
        images = tileset.split("train")
        self.device = device
        self.network: nn.Module = RetinaNet(config.model, bands=3, classes=1).to(device)
        self.criterion: RetinaNetLoss = build_loss(
            config.train, config.model, class_counts=[sum(len(i.boxes) for i in images)]
        )
        self.optimizer = torch.optim.SGD(
            [p for p in self.network.parameters() if p.requires_grad],
            lr=0.002,
            momentum=0.9,
            weight_decay=1e-4,
        )
        self.loader = DataLoader(
            PlainChips(images),
            batch_size=config.train.batch_size,
            shuffle=True,
            collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
        )

    def run_epoch(self) -> float:
        """Train an epoch and give its chips a second."""
        self.network.train()
        start, chips = time.perf_counter(), 0
        mean, std = (
            torch.tensor(values, device=self.device).view(3, 1, 1) for values in (_MEAN, _STD)
        )
        for pixels, labels in self.loader:
            images = torch.stack([(image.to(self.device) - mean) / std for image in pixels])
            targets = [target.to(self.device) for target in labels]
            loss = torch.stack([*self.criterion(self.network(images), targets)]).sum()
            if not math.isfinite(loss.item()):
                sys.exit(f"the loss of the plain loop is {loss.item()}")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            chips += len(images)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return chips / (time.perf_counter() - start)


def _print(options: argparse.Namespace, ours: list[float], plain: list[float]) -> None:
    print_machine()
    ratios = [a / b for a, b in zip(ours[1:], plain[1:], strict=True)]
    table = Table(
        title=f"{options.backbone}, {options.chips} chips of {_SIDE} px, batches of "
        f"{options.batch_size}, median of {len(ratios)} alternating epochs",
        min_width=72,
    )
    for column in ("", "chips/s", "first epoch"):
        table.add_column(column)
    for name, speeds in (("geodet train", ours), ("plain loop", plain)):
        table.add_row(name, f"{statistics.median(speeds[1:]):.2f}", f"{speeds[0]:.2f}")
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    table.add_row("ratio", f"{statistics.median(ratios):.2f} {spread}", f"{ours[0] / plain[0]:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
