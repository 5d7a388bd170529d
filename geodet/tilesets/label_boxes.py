"""Convert parsed labels to boxes in the pixels of their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import cut_oriented, fit_labels
from geodet.tilesets.parsed_labels import ParsedImage

__all__ = ["check_in_pixels", "point_box_sides", "to_oriented_boxes", "to_pixel_boxes"]


def check_in_pixels(items: Sequence[ParsedImage], source: Path) -> None:
    """Check that the boxes of a tileset are in pixels, not shares of the images' sides.

    Shares may lie a little outside of 0 to 1. Whole numbers, and points in the middle of a pixel,
    may be the first pixels of an image.

    Args:
        items: The parsed labels of all images.
        source: The labels, for the error message.

    Raises:
        TilesetError: All coordinates are between -1 and 2, and some are within a pixel.
    """
    # Images that geodet tile cut have a place, and may show no more than a corner of one object.
    foreign = [item for item in items if item.frame != "shares" and item.place is None]
    boxes = [box for item in foreign for box in item.boxes]
    values = np.array(boxes, np.float64)
    if boxes and np.all((values > -1) & (values < 2)) and np.any(values * 2 % 1):
        raise TilesetError(
            f"{source}: all coordinates are between {values.min():.3g} and {values.max():.3g}, as"
            " shares of the image",
            hint="multiply x by the width and y by the height of the image: these labels are in"
            " pixels",
            path=source,
        )


def to_pixel_boxes(
    item: ParsedImage,
    geobox: GeoBox,
    resolution: tuple[float, float] | None,
    config: DataConfig,
) -> Floats:
    """Convert the boxes of an image to pixels, clipped to the image unless they must stay whole.

    Args:
        item: The parsed labels of the image.
        geobox: The image's geobox.
        resolution: Metres per pixel of the image along x and y, None if unknown.
        config: Sides of the boxes around points.

    Returns:
        (N, 4) float64, x1 y1 x2 y2.

    Raises:
        TilesetError: A box is outside of its image, or the side of boxes around points is unknown.
    """
    bounds = np.array([geobox.width, geobox.height] * 2, np.float64)
    boxes = np.array(item.boxes, np.float64).reshape(-1, 4)
    if item.frame == "shares":
        boxes *= bounds
    outside = np.any((boxes[:, 2:] < 0) | (boxes[:, :2] > bounds[:2]), axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise TilesetError(
            f"{item.source}{item.numbers[row]}: the {item.names[row] or 'object'} at"
            f" {boxes[row].round(1).tolist()} is outside of {item.path.name},"
            f" {geobox.width} x {geobox.height} px",
            hint="correct the label; boxes are in pixels of their image",
        )
    if item.frame == "centres" and len(boxes):
        half = point_box_sides(config, resolution, item.path) / 2
        boxes += np.concatenate([-half, half])
    elif item.frame != "whole":
        np.clip(boxes, 0, bounds, out=boxes)
    return boxes


def to_oriented_boxes(item: ParsedImage, geobox: GeoBox, boxes: Floats) -> Floats | None:
    """Fit oriented boxes to the labels of an image that have four corners.

    Args:
        item: The parsed labels of the image.
        geobox: The image's geobox.
        boxes: (N, 4) from :func:`to_pixel_boxes`, which stand for the other labels.

    Returns:
        (N, 5) cut at the edges of the image, see
        :func:`geodet.geometry.oriented_boxes.cut_oriented`; None if no label stands at an angle.
    """
    sides = [geobox.width, geobox.height] if item.frame == "shares" else [1.0, 1.0]
    quads = {
        row: [(x * sides[0], y * sides[1]) for x, y in quad]
        for row, quad in enumerate(item.quads)
        if quad is not None
    }
    fitted = fit_labels(boxes, quads)
    if fitted is None or item.frame == "whole":
        return fitted
    return cut_oriented(fitted, geobox.width, geobox.height)


def point_box_sides(
    config: DataConfig,
    resolution: tuple[float, float] | None,
    where: object,
    *,
    instead: str = "",
) -> Floats:
    """Return the width and height of the box around a labelled point, in pixels: (2,).

    Those of a size in metres differ where pixels are not square on the ground.

    Args:
        config: ``box_size_m`` or ``box_size_px``.
        resolution: Metres per pixel of the image along x and y, None if unknown.
        where: The image, for the error message.
        instead: What may be set in place of a size, for the hint.

    Raises:
        TilesetError: Neither size is set, or both are, or the size is in metres and the GSD is
            unknown.
    """
    if (config.box_size_m is None) == (config.box_size_px is None):
        which = "no box size is" if config.box_size_m is None else "two box sizes are"
        raise TilesetError(
            f"{where}: the labels are points, and {which} set",
            hint="set one of data.box_size_m (metres) and data.box_size_px (pixels)"
            + (f", or {instead}" if instead else ""),
        )
    if config.box_size_px is not None:
        return np.full(2, config.box_size_px)
    if resolution is None:
        raise TilesetError(
            f"{where}: the box size is in metres, but the metres per pixel are unknown",
            hint="set data.gsd, or set data.box_size_px instead of data.box_size_m",
        )
    sides: Floats = (config.box_size_m or 0.0) / np.array(resolution)
    return sides
