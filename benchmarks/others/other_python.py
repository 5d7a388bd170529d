"""DeepForest in its own environment: images and boxes go there as files, detections come back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from geodet.geometry.boxes import Detections
from others.chips import BATCH, Dataset, export_split
from others.result import PeerResult

_SCRIPT = Path(__file__).with_name("deepforest_run.py")


def run_deepforest(
    dataset: Dataset, folder: Path, python: Path, *, minutes: float, seed: int, threads: int
) -> PeerResult:
    """Train DeepForest's RetinaNet for some minutes and read what it finds.

    Args:
        dataset: Its images are written to the folder.
        folder: An empty one.
        python: Of an environment that has deepforest.
        minutes: Of training.
        seed: Of its weights and batches.
        threads: Of torch.
    """
    folder = folder.resolve()
    table, answer = folder / "train.csv", folder / "found.json"
    export_split(dataset.train, dataset, folder, table)
    names = export_split(dataset.val, dataset, folder, folder / "val.csv")
    order = {
        "table": str(table),
        "images": names,
        "classes": list(dataset.classes),
        "minutes": minutes,
        "seed": seed,
        "threads": threads,
        "batch": BATCH,
        "answer": str(answer),
    }
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    # Weights that it would fetch are not to be had: it must not try for minutes.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    subprocess.run(
        [python, _SCRIPT, folder / "order.json"], check=True, cwd=folder, env=environment
    )
    result = json.loads(answer.read_text(encoding="utf-8"))
    found = [
        Detections(
            np.array(one["boxes"], np.float64).reshape(-1, 4),
            np.array(one["scores"], np.float32),
            np.array(one["labels"], np.int64),
        )
        for one in result["found"]
    ]
    return PeerResult(
        f"DeepForest {result['version']}",
        found if result["is_finite"] else None,
        result["train_seconds"],
        float(result["images_seen"]),
        result["images_per_second"],
        "its pretrained weights left out" if result["is_finite"] else "diverged",
    )
