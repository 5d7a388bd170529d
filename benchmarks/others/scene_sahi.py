"""Run SAHI's get_sliced_prediction on a scene: python scene_sahi.py ORDER.json.

Its environment has geodet as well, for the rows in which both run one network. SAHI gets that as
what it takes from torchvision: a module that gives dictionaries of boxes, scores and labels.

``network``:
    ``plain``: geodet's network with torchvision's ways: float32, contiguous tensors, and a graph
    for gradients, which SAHI does not switch off. Boxes are decoded by geodet, which is quick.
    ``tuned``: geodet's own predictor, so that SAHI slices and merges and geodet does the rest.
    ``torchvision``: torchvision's RetinaNet at its defaults, untrained, and the settings of the
    command ``sahi predict``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rasterio
import torch
from as_torchvision import Plain, Tuned
from rasterio.windows import Window
from sahi.models.torchvision import TorchVisionDetectionModel
from sahi.predict import get_sliced_prediction
from timed import Rows, measure, read_order
from torchvision.models.detection import retinanet_resnet50_fpn
from untrained import shift_scores

from geodet.models.checkpoint import load_checkpoint

_COMMAND = {  # what ``sahi predict`` does unless told otherwise
    "slice_height": 512,
    "slice_width": 512,
    "overlap_height_ratio": 0.2,
    "overlap_width_ratio": 0.2,
}
_COMMAND_THRESHOLD = 0.25


def main() -> None:
    order = read_order()
    torch.set_num_threads(order["threads"])
    torch.manual_seed(0)
    network = order["network"]
    wrapped, settings = _untrained(order) if network == "torchvision" else _same(order)

    def find(scene: str) -> Any:
        return get_sliced_prediction(scene, wrapped, verbose=0, **settings)

    measure(order, find, _rows, ["sahi", "torch"])


def _same(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Wrap geodet's network, with its windows, thresholds and rule of suppression."""
    model = load_checkpoint(order["model"])
    module = Plain(model) if order["network"] == "plain" else Tuned(model)
    about = model.description
    wrapped = TorchVisionDetectionModel(
        model=module,
        device="cpu",
        confidence_threshold=about.score_threshold,
        category_mapping={str(label): name for label, name in enumerate(about.classes)},
    )
    ratio = order["overlap"] / order["chip_size"]
    return wrapped, {
        "slice_height": order["chip_size"],
        "slice_width": order["chip_size"],
        "overlap_height_ratio": ratio,
        "overlap_width_ratio": ratio,
        "perform_standard_pred": False,  # it would show the whole scene to the network once more
        "postprocess_type": "NMS",
        "postprocess_match_metric": "IOU",
        "postprocess_match_threshold": about.iou_threshold,
        "batch_size": order["batch_size"],
    }


def _untrained(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    network = retinanet_resnet50_fpn(weights=None, weights_backbone=None).eval()
    side = _COMMAND["slice_width"]
    with rasterio.open(order["scene"]) as raster:
        pixels = raster.read(window=Window(0, 0, side, side))
    shift_scores(
        network,
        torch.from_numpy(pixels.astype(np.float32) / 255),
        candidates=max(1, round(order["objects_per_px"] * side**2)),
        threshold=_COMMAND_THRESHOLD,
    )
    classes = {str(label): str(label) for label in range(91)}
    wrapped = TorchVisionDetectionModel(
        model=network,
        device="cpu",
        confidence_threshold=_COMMAND_THRESHOLD,
        category_mapping=classes,
    )
    return wrapped, dict(_COMMAND)


def _rows(result: Any) -> Rows:
    return [
        [*map(float, one.bbox.to_xyxy()), float(one.score.value), float(one.category.id)]
        for one in result.object_prediction_list
    ]


if __name__ == "__main__":
    main()
