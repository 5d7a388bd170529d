"""The feature pyramid on top of the backbone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

__all__ = ["Pyramid"]


class Pyramid(nn.Module):
    """A feature pyramid: P2 to P5 from the backbone, P6 and P7 by strided convolutions.

    P6 is computed from C5, the deepest stage of the backbone, not from P5; P7 from P6 after a ReLU.

    The top-down path begins at the deepest stage of the backbone even if that level has no anchors,
    so that small objects on P2 see their surroundings.

    Args:
        widths: Channels of C2, C3, ... of the backbone.
        channels: Channels of every level of the pyramid.
        levels: First and last level to return.

    Reference:
        Lin et al. 2016, arXiv:1612.03144; P6 and P7: arXiv:1708.02002, section 4, footnote 2.
    """

    def __init__(self, widths: list[int], *, channels: int, levels: tuple[int, int]) -> None:
        super().__init__()
        first, last = levels
        self._skip = first - 2
        self._take = min(last, 5) - first + 1
        self.fpn = FeaturePyramidNetwork(widths[self._skip :], channels)
        sources = [widths[-1], channels][: max(last - 5, 0)]  # C5 and P6
        self.extra = nn.ModuleList(nn.Conv2d(n, channels, 3, stride=2, padding=1) for n in sources)
        _drop_unused(self.fpn, self._take)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the pyramid levels from C2, C3, ...: each (N, channels, H / 2^L, W / 2^L)."""
        levels = self._descend(features[self._skip :])[: self._take]
        for index, convolution in enumerate(self.extra):
            source = features[-1] if index == 0 else F.relu(levels[-1])
            levels.append(convolution(source))
        return levels

    def _descend(self, features: list[Tensor]) -> list[Tensor]:
        """Add the level above to each level, as torchvision's pyramid does, but in place.

        The ``forward`` of torchvision holds three tensors of P2's size while it computes the
        fourth.
        """
        levels: list[Tensor] = []
        above: Tensor | None = None
        blocks = zip(features, self.fpn.inner_blocks, self.fpn.layer_blocks, strict=True)
        for feature, inner, layer in reversed(list(blocks)):
            lateral = inner(feature)
            if above is not None:
                lateral += F.interpolate(above, size=lateral.shape[-2:], mode="nearest")
            levels.append(layer(lateral))
            above = lateral
        return levels[::-1]


def _drop_unused(fpn: FeaturePyramidNetwork, count: int) -> None:
    """Replace the output convolutions of unused levels, so that they cost nothing."""
    for index in range(count, len(fpn.layer_blocks)):
        fpn.layer_blocks[index] = nn.Identity()
