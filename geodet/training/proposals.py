"""Settings of a training that would suit its data better: crops, chip size and epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geodet.config import Config
from geodet.tilesets.labels import LabelledImage
from geodet.training.augmentation import Crop, share_boxes
from geodet.training.training_chips import count_crops, reaches_over

__all__ = ["Proposal", "measure_crops", "propose_settings"]

_STEPS_WANTED = 3000  # of a training from random weights, on a tileset of any size
_EPOCHS = (20, 300)  # fewest and most that are proposed
_ROOM = 1.25  # sides of a large object in the smallest chip, so that it is whole in some crops
_SHOWN = 0.85  # share of the crops that should show an object
_SHARES = (0.5, 0.9)  # least and most of them that are placed on one
_MOST_DRAWN = 2000  # crops to estimate a share from


@dataclass(frozen=True, slots=True)
class Proposal:
    """A setting that would suit the data better."""

    typed: tuple[str, ...]
    """The option as it is typed."""
    reason: str
    """Why, in a few words."""


def propose_settings(
    config: Config, images: Sequence[LabelledImage], *, large: float
) -> tuple[Proposal, ...]:
    """Propose a chip size, a share of crops on objects, and epochs, where those given do not suit.

    A chip is to hold the large objects, and not to be larger than the images. Crops that show
    nothing teach little: where random ones seldom show an object, more are placed on one. Epochs
    are to make about 3,000 steps from random weights.

    Args:
        config: All settings.
        images: The training images.
        large: Longer side of the large objects in pixels.
    """
    size, why = _fit_chip_size(config.train.chip_size, images, large)
    proposals = [Proposal(("--chip-size", str(size)), why)] if why else []
    fitted = config.model_copy(
        update={"train": config.train.model_copy(update={"chip_size": size})}
    )
    at_random = measure_crops(fitted, images, 0.0)
    share = _fit_share(at_random)
    if abs(share - config.augment.object_share) > 0.15 and at_random < _SHOWN:
        reason = f"{100 * at_random:.0f} % of crops at random places show an object"
        proposals.append(Proposal(("--set", f"augment.object_share={share:g}"), reason))
    crops = sum(count_crops(image, size) for image in images)
    steps = math.ceil(crops / config.train.batch_size)
    epochs = min(max(round(_STEPS_WANTED / steps), _EPOCHS[0]), _EPOCHS[1])
    if config.train.init is None and not 0.5 < config.train.epochs / epochs < 2:
        reason = f"{epochs * steps} steps in place of {config.train.epochs * steps}"
        proposals.append(Proposal(("--epochs", str(epochs)), reason))
    return tuple(proposals)


def _fit_chip_size(size: int, images: Sequence[LabelledImage], large: float) -> tuple[int, str]:
    """Return a side of chips, and why it is another than the given one, empty if it is not."""
    smallest = min(min(image.width, image.height) for image in images)
    if size < _ROOM * large and size < smallest:
        fitting = min(64 * math.ceil(2 * large / 64), max(smallest // 32 * 32, size))
        return fitting, f"large objects are {large:.0f} px long" if fitting > size else ""
    if size > 1.5 * smallest:
        return max(smallest // 32 * 32, 32), f"the smallest image has {smallest} px"
    return size, ""


def _fit_share(at_random: float) -> float:
    """Return the share of crops to place on objects so that most crops show one."""
    wanted = (_SHOWN - at_random) / max(1 - at_random, 1e-9)
    return min(max(round(wanted, 1), _SHARES[0]), _SHARES[1])


def measure_crops(config: Config, images: Sequence[LabelledImage], object_share: float) -> float:
    """Estimate the share of crops that show an object, of the images that have any.

    Args:
        config: Chip size, zoom and seed.
        images: The training images.
        object_share: Share of the crops that are placed on an object.
    """
    size = config.train.chip_size
    augment = config.augment.model_copy(update={"object_share": object_share})
    whole = any(map(reaches_over, images))
    full = [image for image in images if len(image.boxes)]
    drawn = [image for image in full for _ in range(count_crops(image, size))]
    chosen = drawn[:: math.ceil(len(drawn) / _MOST_DRAWN)]
    random = np.random.default_rng(config.train.seed)
    shown = 0
    for image in chosen:
        crop = Crop.draw(
            image.width, image.height, image.boxes, size=size, augment=augment, random=random
        )
        _, is_object = share_boxes(crop.move(image.boxes, whole=whole), crop.frame, whole=whole)
        shown += bool(is_object.any())
    return shown / len(chosen)
