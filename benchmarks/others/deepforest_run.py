"""Train DeepForest's RetinaNet for some minutes and write what it finds; geodet is not needed.

Runs under the python of an environment that has deepforest. All settings are the package's
defaults, but its weights: those come from the internet, so the network starts at random.

    python deepforest_run.py ORDER.json
"""

from __future__ import annotations

import functools
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torchvision
from deepforest import __version__, main
from deepforest.models.retinanet import RetinaNetHub
from PIL import Image


class Count(pl.Callback):
    """Counts images and looks at the losses."""

    def __init__(self) -> None:
        self.images, self.is_finite = 0, True

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch and stop at a loss that is not finite."""
        del module, batch_idx
        self.images += len(batch[0])
        if not math.isfinite(float(outputs["loss"])):
            self.is_finite, trainer.should_stop = False, True


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Train and detect; gives the content of the answer."""
    torch.set_num_threads(order["threads"])
    pl.seed_everything(order["seed"], verbose=False)
    root = Path(order["table"]).parent
    forest = _build(order, root)
    count = Count()
    forest.create_trainer(
        logger=False,
        callbacks=[count],
        max_epochs=-1,
        max_time=timedelta(minutes=order["minutes"]),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(root),
    )
    loader = forest.train_dataloader()  # reads and checks the table, which is not training
    forest.existing_train_dataloader = loader
    start = time.perf_counter()
    forest.trainer.fit(forest)
    seconds = time.perf_counter() - start
    found, speed = _detect(forest.model, [root / name for name in order["images"]], order["batch"])
    return {
        "version": __version__,
        "is_finite": count.is_finite,
        "train_seconds": seconds,
        "images_seen": count.images,
        "images_per_second": speed,
        "found": found,
    }


def _build(order: dict[str, Any], root: Path) -> Any:
    # What the others keep, below its own 0.1.
    settings = {"train": {"csv_file": order["table"], "root_dir": str(root)}}
    return build_forest(order["classes"], settings, score_threshold=0.05)


def build_forest(
    classes: Sequence[str],
    settings: Mapping[str, Any] | None = None,
    *,
    score_threshold: float | None = None,
) -> Any:
    """Build DeepForest at its defaults, but with random weights.

    Args:
        classes: Their names.
        settings: Beside the package's defaults.
        score_threshold: None for its own.
    """
    labels = {name: number for number, name in enumerate(classes)}
    build = torchvision.models.detection.retinanet_resnet50_fpn
    # Without this the backbone's weights would be fetched although none are asked for.
    torchvision.models.detection.retinanet_resnet50_fpn = functools.partial(
        build, weights_backbone=None
    )
    own = {"num_classes": len(labels), "label_dict": labels}
    config = main.utilities.load_config(overrides=own | dict(settings or {}))
    network = RetinaNetHub(
        backbone_weights=None,
        num_classes=len(labels),
        nms_thresh=config.nms_thresh,
        score_thresh=config.score_thresh if score_threshold is None else score_threshold,
        label_dict=labels,
    )
    forest = main.deepforest(model=network, config=config)
    forest.set_labels(labels)
    return forest


@torch.inference_mode()
def _detect(
    network: torch.nn.Module, paths: list[Path], batch: int
) -> tuple[list[dict[str, Any]], float]:
    network.eval()
    images = [_read(path) for path in paths]
    network(images[:batch])
    start = time.perf_counter()
    outputs = []
    for i in range(0, len(images), batch):
        outputs += network(images[i : i + batch])
    speed = len(images) / (time.perf_counter() - start)
    keys = ("boxes", "scores", "labels")
    return [{key: output[key].tolist() for key in keys} for output in outputs], speed


def _read(path: Path) -> torch.Tensor:
    pixels = np.array(Image.open(path).convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(given["answer"]).write_text(json.dumps(run(given)), encoding="utf-8")
