"""Which types the pixels of labelled images have: a model learns from one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence

from geodet.errors import SceneError
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage

__all__ = ["describe_mixed_types", "find_types"]

_MOST_OPENED = 200  # info opens them only for this


def find_types(images: Sequence[LabelledImage]) -> dict[str, LabelledImage]:
    """Find the types of the pixels, each with the first image that has it.

    Args:
        images: At most 200 of them are opened, evenly spread; those that cannot be read have none.

    Returns:
        An image by name of the type, such as ``uint8``.
    """
    found: dict[str, LabelledImage] = {}
    for image in images[:: max(1, math.ceil(len(images) / _MOST_OPENED))]:
        with contextlib.suppress(SceneError), open_image(image) as scene:
            found.setdefault(scene.dtype.name, image)
    return found


def describe_mixed_types(found: Mapping[str, LabelledImage]) -> str:
    """Describe what is wrong with images of several types; empty for images of one.

    Args:
        found: As of :func:`find_types`.
    """
    if len(found) < 2:
        return ""
    types = ", others ".join(f"{name}, such as {image.path}" for name, image in found.items())
    return (
        f"the pixels of some images are {types}: a model scales all pixels by the same mean and "
        "deviation, so convert the images to one type and one range of values, or train a model "
        "for each type"
    )
