"""Labelled images: the boxes of objects in pixels of their images, and the tileset of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.geometry.oriented_boxes import oriented_of_boxes, oriented_shapes
from geodet.tilesets.splits import Part, Split

__all__ = ["LabelledImage", "Tileset"]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and its objects."""

    path: Path
    """File of the image."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2 in continuous pixels; (0, 0) is the image's outer corner."""
    labels: NDArray[np.int64]
    """(N,) int64, index into the tileset's classes."""
    ignored: Floats
    """(M, 4) float64, regions that neither train nor count."""
    place: str
    """Images of the same ground have the same place."""
    split: Split
    """Part of the split: training, validation or test."""
    gsd: float | None
    """Metres per pixel on the ground, None if unknown."""
    as_stored: bool = False
    """Whether it is neither turned nor warped: the labels are of the pixels as they are stored."""
    oriented: Floats | None = None
    """(N, 5) float64 oriented boxes of labels with four corners, and the boxes of others; None: no
    label stands at an angle. See :mod:`geodet.geometry.oriented_boxes`."""
    steps: Floats | None = None
    """(2, 2) that map a step in pixels to metres east and north; None: ``gsd`` in all directions.
    """

    @property
    def oriented_boxes(self) -> Floats:
        """(N, 5) oriented boxes; of labels without them, the boxes."""
        return oriented_of_boxes(self.boxes) if self.oriented is None else self.oriented

    @property
    def shapes(self) -> Floats:
        """(N, 4) boxes, or (N, 9) with oriented ones, as ``Detections.shapes``."""
        return self.boxes if self.oriented is None else oriented_shapes(self.oriented)


@dataclass(frozen=True, slots=True)
class Tileset:
    """Labelled images and the names of their classes."""

    root: Path
    """Folder of the tileset."""
    classes: tuple[str, ...]
    """Names; an object's label is an index into them."""
    images: tuple[LabelledImage, ...]
    """All images, in natural order of their names."""

    def split(self, name: Part) -> tuple[LabelledImage, ...]:
        """Return the images of one part of the split, or all."""
        return tuple(image for image in self.images if name in (image.split, "all"))

    @property
    def validating(self) -> tuple[LabelledImage, ...]:
        """The validation images; none if they have no object, since no score can be right there."""
        images = self.split("val")
        return images if any(len(image.boxes) for image in images) else ()
