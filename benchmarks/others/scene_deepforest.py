"""Run DeepForest's predict_tile on a scene, at its defaults: python scene_deepforest.py ORDER.json.

Its weights come from the internet, so the network is random: see ``untrained.py``.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import rasterio
import torch
from deepforest_run import build_forest
from rasterio.windows import Window
from timed import Rows, measure, read_order
from untrained import shift_scores

_PATCH = 400  # predict_tile's default


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    order = read_order()
    torch.set_num_threads(order["threads"])
    torch.manual_seed(0)
    forest = build_forest(["object"])
    forest.model.eval()
    shift_scores(
        forest.model,
        _read_patch(order["scene"]),
        candidates=max(1, round(order["objects_per_px"] * _PATCH**2)),
        threshold=forest.config.score_thresh,
    )

    def find(scene: str) -> Any:
        return forest.predict_tile(path=scene, dataloader_strategy=order["strategy"])

    measure(order, find, _rows, ["deepforest", "torch"])


def _read_patch(scene: str) -> torch.Tensor:
    with rasterio.open(scene) as raster:
        pixels = raster.read(window=Window(0, 0, _PATCH, _PATCH))
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def _rows(frame: Any) -> Rows:
    if frame is None:  # it says so where it finds nothing
        return []
    boxes = frame[["xmin", "ymin", "xmax", "ymax", "score"]].to_numpy(float)
    rows: Rows = np.concatenate([boxes, np.zeros((len(boxes), 1))], axis=1).tolist()
    return rows


if __name__ == "__main__":
    main()
