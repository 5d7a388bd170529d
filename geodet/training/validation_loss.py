"""The training loss on the validation chips, from the outputs that are validated anyway."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from geodet.models.box_coding import DELTAS
from geodet.models.engine import Outputs
from geodet.tilesets.labels import LabelledImage
from geodet.training.losses import RetinaNetLoss, Target

__all__ = ["ValidationLoss"]


class ValidationLoss:
    """Adds up the loss of images that the network takes whole.

    Args:
        loss: Loss of the training.
        box_weight: Weight of the box loss in the total.
    """

    def __init__(self, loss: RetinaNetLoss, box_weight: float) -> None:
        self._loss, self._weight = loss, box_weight
        self._sums: Tensor | None = None

    def add(self, images: Sequence[LabelledImage], outputs: Outputs) -> None:
        """Add images and the outputs of the network for them.

        Args:
            images: N labelled images.
            outputs: For them, in their order.
        """
        with torch.inference_mode():
            is_oriented = outputs.deltas.shape[-1] == DELTAS["oriented"]
            targets = [_to_target(image, outputs.logits.device, is_oriented) for image in images]
            sums = torch.stack([part.double() for part in self._loss.sums(outputs, targets)])
            self._sums = sums if self._sums is None else self._sums + sums

    def figures(self) -> dict[str, float]:
        """Return the loss per positive anchor for the log; nothing where no image was added."""
        if self._sums is None:
            return {}
        classification, box, counted, positives = self._sums.tolist()
        parts = classification / max(counted, 1), box / max(positives, 1)
        return {"val_loss": parts[0] + self._weight * parts[1]}


def _to_target(image: LabelledImage, device: torch.device, is_oriented: bool) -> Target:
    boxes, ignored, oriented = (
        torch.as_tensor(array, dtype=torch.float32, device=device)
        for array in (image.boxes, image.ignored, image.oriented_boxes)
    )
    labels = torch.as_tensor(image.labels, device=device)
    return Target(boxes, labels, ignored, oriented if is_oriented else None)
