"""The two small networks that look at every level of the pyramid."""

from __future__ import annotations

import math

from torch import Tensor, nn

__all__ = ["Head"]


class Head(nn.Module):
    """Hidden 3 x 3 convolutions and one that gives a number of outputs for each anchor.

    One head is shared by all levels; the classification and the box head share nothing.

    Args:
        channels: Channels of the pyramid.
        convs: Hidden convolutions.
        anchors: Anchors a cell.
        outputs: Outputs an anchor: K classes, or 4 corrections.
        norm: Normalise each hidden layer in groups of 16 channels (Wu & He 2018, arXiv:1803.08494);
            heads learnt from random weights then bear a higher learning rate.
        prior: Probability that the sigmoid of the outputs starts from, None for outputs that are
            no probabilities. A small one keeps the many background anchors from drowning the
            first steps.

    Reference:
        arXiv:1708.02002, section 4 ("Classification Subnet", "Box Regression Subnet") and
        section 4.1 ("Initialization").
    """

    def __init__(
        self,
        channels: int,
        *,
        convs: int,
        anchors: int,
        outputs: int,
        norm: bool,
        prior: float | None = None,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        hidden: list[nn.Module] = []
        for _ in range(convs):
            hidden.append(nn.Conv2d(channels, channels, 3, padding=1, bias=not norm))
            if norm:
                hidden.append(nn.GroupNorm(_groups(channels), channels))
            hidden.append(nn.ReLU(inplace=True))
        self.hidden = nn.Sequential(*hidden)
        self.last = nn.Conv2d(channels, anchors * outputs, 3, padding=1)
        _initialise(self, 0.0 if prior is None else -math.log((1 - prior) / prior))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Give (N, H * W * A, outputs) for each level."""
        return [self._flat(self.last(self.hidden(level))) for level in levels]

    def _flat(self, maps: Tensor) -> Tensor:
        """Turn (N, A * outputs, H, W) into (N, H * W * A, outputs)."""
        return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, self.outputs)


def _initialise(head: Head, last_bias: float) -> None:
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.constant_(head.last.bias, last_bias)  # type: ignore[arg-type]


def _groups(channels: int) -> int:
    """Give the number of groups of about 16 channels that divides the channels."""
    return next(n for n in range(max(channels // 16, 1), 0, -1) if channels % n == 0)
