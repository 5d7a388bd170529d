"""Torchvision's detectors on one pretrained backbone, with settings for small objects.

All get EfficientNet-Lite0 up to stride 32 under torchvision's own feature pyramid of 256 channels,
with levels from stride 4. Anchors and cells are small, and hundreds of objects may be found in an
image. Everything else is torchvision's default.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from geodet.models.backbone import Backbone

__all__ = ["SHARED"]

_CHANNELS = 256
_STRIDES = (4, 8, 16, 32)
_RATIOS = (0.5, 1.0, 2.0)
_OCTAVE = tuple(2 ** (i / 3) for i in range(3))
_MOST = 500  # objects of an image; torchvision's 100 or 300 are fewer than a chip may have


class LitePyramid(nn.Module):
    """EfficientNet-Lite0 under a feature pyramid, as torchvision's detectors take a backbone.

    Args:
        weights: ImageNet weights, a file or a package; empty: random ones.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.out_channels = _CHANNELS
        self.body = Backbone("efficientnet_lite0", bands=3, level=5, weights=weights or None)
        self.fpn = FeaturePyramidNetwork(self.body.widths, _CHANNELS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the levels of strides 4 to 32 by number."""
        stages = {str(i): stage for i, stage in enumerate(self.body(images))}
        levels: dict[str, Tensor] = self.fpn(stages)
        return levels


def _retinanet(backbone: nn.Module, **options: Any) -> nn.Module:
    sizes = tuple(tuple(3.0 * stride * scale for scale in _OCTAVE) for stride in _STRIDES)
    anchors = AnchorGenerator(sizes, (_RATIOS,) * len(sizes))
    head = RetinaNetHead(_CHANNELS, anchors.num_anchors_per_location()[0], options["num_classes"])
    return RetinaNet(
        backbone, anchor_generator=anchors, head=head, detections_per_img=_MOST, **options
    )


def _fcos(backbone: nn.Module, **options: Any) -> nn.Module:
    anchors = AnchorGenerator(tuple((stride,) for stride in _STRIDES), ((1.0,),) * len(_STRIDES))
    return FCOS(backbone, anchor_generator=anchors, detections_per_img=_MOST, **options)


def _faster_rcnn(backbone: nn.Module, **options: Any) -> nn.Module:
    sizes = tuple((3.0 * stride,) for stride in _STRIDES)
    names = [str(i) for i in range(len(_STRIDES))]
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(sizes, (_RATIOS,) * len(sizes)),
        box_roi_pool=MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
        box_detections_per_img=_MOST,
        **options,
    )


def _build(make: Callable[..., nn.Module], *, weights: str, **options: Any) -> nn.Module:
    return make(LitePyramid(weights), **options)


SHARED: dict[str, tuple[Callable[..., nn.Module], float]] = {
    f"{name}, {size}": (partial(_build, make), factor)
    for size, factor in (("native size", 1.0), ("enlarged twice", 2.0))
    for name, make in (
        ("RetinaNet", _retinanet),
        ("FCOS", _fcos),
        ("Faster R-CNN", _faster_rcnn),
    )
}
"""Name to (constructor, how much images are enlarged)."""
