"""A scene made of real, labelled chips: they lie side by side, again and again until it is full."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geodet.geometry.geobox import GeoBox
from geodet.raster.geotiff import write_raster
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.labels import LabelledImage

_SAME_GSD = 0.01  # of one another: map projections stretch the ground a little


@dataclass(frozen=True, slots=True)
class Mosaic:
    """A square scene and what is in it."""

    pixels: NDArray[Any]
    """(C, S, S)."""
    boxes: NDArray[np.float64]
    """(N, 4) labelled objects in the scene's pixels; those around points may reach into another
    chip."""
    labels: NDArray[np.int64]
    """(N,) their classes."""
    ignored: NDArray[np.float64]
    """(M, 4) regions that do not count."""
    gsd: float
    """Metres per pixel."""

    def corner(self, side: int) -> Mosaic:
        """Cut a smaller square from the upper left, with all objects that reach into it."""
        pixels = np.ascontiguousarray(self.pixels[:, :side, :side])
        is_inside = (self.boxes[:, :2] < side).all(axis=1)
        boxes, labels = self.boxes[is_inside], self.labels[is_inside]
        return Mosaic(pixels, boxes, labels, self.ignored, self.gsd)

    def write(self, path: Path) -> Path:
        """Write a tiled GeoTIFF in some projected system, north up; gives its path."""
        place = Affine(self.gsd, 0, 500_000, 0, -self.gsd, 4_000_000)
        _, height, width = self.pixels.shape
        write_raster(path, self.pixels, GeoBox(width, height, place, CRS.from_epsg(32610)))
        return path


def make_mosaic(images: Sequence[LabelledImage], bands: Sequence[int], side: int) -> Mosaic:
    """Put chips side by side, row by row, the first one again after the last one.

    Args:
        images: Squares of one size and, within 1 %, one resolution.
        bands: Bands to read, counted from 1; empty: all.
        side: Pixels of the scene, a multiple of theirs.

    Raises:
        ValueError: The chips do not fit together, or do not fill the scene.
    """
    step, gsd = images[0].width, images[0].gsd or 1.0
    if any((one.width, one.height) != (step, step) for one in images):
        raise ValueError("the chips are not squares of one size")
    if any(abs((one.gsd or 1.0) / gsd - 1) > _SAME_GSD for one in images):
        raise ValueError("the chips are not of one resolution")
    if side % step:
        raise ValueError(f"a side of {side} px is not a multiple of the chips' {step} px")
    corners = itertools.product(range(0, side, step), repeat=2)
    offsets = [np.array([x, y, x, y]) for y, x in corners]
    placed = list(zip(itertools.cycle(images), offsets))
    return Mosaic(
        _fill(placed, bands, side),
        np.concatenate([image.boxes + offset for image, offset in placed]),
        np.concatenate([image.labels for image, _ in placed]),
        np.concatenate([image.ignored + offset for image, offset in placed]),
        round(gsd, 2),
    )


def _fill(
    placed: Sequence[tuple[LabelledImage, NDArray[np.int64]]], bands: Sequence[int], side: int
) -> NDArray[Any]:
    """Put the pixels of chips at their places; each is read once."""
    chips = {image.path: read_chip(image, bands).pixels for image, _ in placed}
    first = next(iter(chips.values()))
    pixels = np.empty((len(first), side, side), first.dtype)
    for image, (x, y, *_) in placed:
        chip = chips[image.path]
        pixels[:, y : y + chip.shape[1], x : x + chip.shape[2]] = chip
    return pixels
