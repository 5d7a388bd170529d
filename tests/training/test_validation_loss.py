"""The validation loss is the training loss of all validation images together."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geodet.config import ModelConfig, TrainConfig
from geodet.models.engine import Outputs
from geodet.tilesets.labels import LabelledImage
from geodet.training.losses import Target
from geodet.training.objective import build_loss
from geodet.training.validation_loss import ValidationLoss

ANCHORS = torch.tensor([[x, y, x + 16.0, y + 16.0] for y in (0, 16, 32) for x in (0, 16, 32)])


def labelled(boxes):
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return LabelledImage(
        path=Path("a.png"),
        width=48,
        height=48,
        boxes=boxes,
        labels=np.zeros(len(boxes), np.int64),
        ignored=np.zeros((0, 4)),
        split="val",
        place="",
        gsd=None,
    )


def outputs(count, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, len(ANCHORS), 1, generator=generator)
    return Outputs(logits, 0.1 * torch.randn(count, len(ANCHORS), 4, generator=generator), ANCHORS)


def test_the_loss_of_batches_is_that_of_all_images_at_once():
    loss = build_loss(TrainConfig(), ModelConfig(), class_counts=[3])
    images = [labelled([[0, 0, 16, 16]]), labelled([[16, 16, 32, 32], [32, 0, 48, 16]])]
    images.append(labelled([]))
    whole = outputs(3, seed=0)
    measured = ValidationLoss(loss, box_weight=2.0)
    for part in (slice(0, 2), slice(2, 3)):
        of_part = Outputs(whole.logits[part], whole.deltas[part], ANCHORS)
        measured.add(images[part], of_part)
    none = torch.zeros(0, 4)
    targets = [
        Target(torch.as_tensor(one.boxes).float(), torch.as_tensor(one.labels), none)
        for one in images
    ]
    expected = loss(whole, targets)
    total = float(expected.classification + 2.0 * expected.box)
    assert measured.figures() == pytest.approx({"val_loss": total}, rel=1e-5)


def test_without_images_there_is_no_loss():
    loss = build_loss(TrainConfig(), ModelConfig(), class_counts=[1])
    assert ValidationLoss(loss, 1.0).figures() == {}
