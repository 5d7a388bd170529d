"""Boxes of COCO annotations: from ``bbox``, or else from polygons or run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from geodet.documents.values import finite_number, member, shown, whole_number
from geodet.geometry.boxes import paired_iou
from geodet.tilesets.outlines import bounds_of
from geodet.tilesets.parsed_labels import Box

__all__ = [
    "annotation_box",
    "annotation_rotation",
    "has_other_polygons",
    "mask_box",
    "polygon_box",
    "single_outline",
]

_LONGEST_RUN = 60  # bits


def annotation_box(
    entry: Mapping[str, Any], image_size: tuple[int, int] | None = None
) -> Box | None:
    """Return x1 y1 x2 y2 of an annotation, None for one with an empty box and no segmentation.

    Args:
        entry: ``whole_bbox`` (of geodet), ``bbox`` or ``segmentation``, the first that is filled.
        image_size: Width and height of the image, None if the labels do not say it.

    Raises:
        ValueError: The annotation has none of them, a broken one, or a mask of another size.
    """
    segmentation = entry.get("segmentation")
    for key in ("whole_bbox", "bbox"):
        value = entry.get(key)
        is_unfilled = isinstance(value, list) and not any(value)  # some programs write zeros
        if value and not (is_unfilled and segmentation):
            return _parse_bbox(value)
    if isinstance(segmentation, dict):
        box = mask_box(segmentation)
        _check_mask_size(segmentation["size"], image_size)
        return box
    if segmentation:
        return polygon_box(segmentation)
    if "bbox" not in entry:
        raise ValueError("it has neither bbox nor segmentation")
    return None


def has_other_polygons(entry: Mapping[str, Any]) -> bool:
    """Whether less than half of the ``bbox`` and of the polygons' bounds is shared.

    Args:
        entry: An annotation. One without both, with a broken segmentation or with a ``whole_bbox``
            of geodet is not compared.

    Example:
        >>> corners = [60, 40, 90, 40, 90, 50]
        >>> has_other_polygons({"bbox": [60, 40, 90, 50], "segmentation": [corners]})
        True
    """
    try:
        bbox = np.array([_parse_bbox(entry.get("bbox"))])
        polygons = polygon_box(entry.get("segmentation") or [])
    except ValueError:
        return False
    if polygons is None or not bbox.any() or "whole_bbox" in entry:
        return False
    pixel = np.array([-1.0, -1.0, 1.0, 1.0])  # programs differ in where a pixel begins
    return bool(paired_iou(bbox + pixel, np.array([polygons]) + pixel)[0] < 0.5)


def annotation_rotation(entry: Mapping[str, Any]) -> float:
    """Return the degrees by which a box is turned about its centre, from x towards y.

    Args:
        entry: CVAT writes ``rotation`` among its ``attributes``, and the box before it was turned.
            A ``segmentation`` is turned already.

    Raises:
        ValueError: The rotation is no number.

    Example:
        >>> annotation_rotation({"bbox": [0, 0, 4, 2], "attributes": {"rotation": 90.0}})
        90.0
    """
    attributes = entry.get("attributes")
    turned = attributes.get("rotation") if isinstance(attributes, dict) else None
    if not turned or entry.get("segmentation"):
        return 0.0
    try:
        return finite_number(turned)
    except ValueError as error:
        raise ValueError(f"the rotation {error}") from error


def single_outline(entry: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the points of an annotation whose segmentation is one polygon of four corners.

    Args:
        entry: The annotation; what is no such polygon has no points.
    """
    rings = entry.get("segmentation")
    ring = rings[0] if isinstance(rings, list) and len(rings) == 1 else rings
    if not isinstance(ring, list) or len(ring) not in (8, 10):  # open or closed
        return []
    try:
        values = [finite_number(value) for value in ring]
    except ValueError:
        return []
    return list(zip(values[::2], values[1::2], strict=True))


def _parse_bbox(values: Any) -> Box:
    if not isinstance(values, list) or len(values) != 4:
        raise ValueError(f"bbox {shown(values)} is not x, y, width, height")
    try:
        x, y, width, height = (finite_number(value) for value in values)
    except ValueError as error:
        raise ValueError(f"bbox {shown(values)} is not four finite numbers") from error
    return x, y, x + width, y + height


def polygon_box(polygons: Sequence[Any]) -> Box | None:
    """Return the bounds of the polygons of an object, None if they have no points.

    Args:
        polygons: Lists ``[x, y, x, y, ...]``, or a single such list.

    Raises:
        ValueError: A list has an odd number of values, or other things than numbers.

    Example:
        >>> polygon_box([[10, 10, 40, 10, 40, 40]])
        (10.0, 10.0, 40.0, 40.0)
    """
    if not isinstance(polygons, list):
        raise ValueError(f"the segmentation {shown(polygons)} is not a list of polygons")
    rings = polygons if all(isinstance(ring, list) for ring in polygons) else [polygons]
    points: list[tuple[float, float]] = []
    for ring in rings:
        if len(ring) % 2:
            raise ValueError(f"a polygon has {len(ring)} values, which are not pairs")
        try:
            values = [finite_number(value) for value in ring]
        except ValueError as error:
            raise ValueError(f"a polygon has values that are not numbers: {error}") from error
        points += zip(values[::2], values[1::2], strict=True)
    return bounds_of(points) if points else None


def mask_box(mask: Mapping[str, Any]) -> Box | None:
    """Return the bounds of a mask of run lengths, None if it is empty.

    Args:
        mask: ``size`` is rows and columns; ``counts`` are the lengths of runs of the background
            and the object in turn, down each column, as numbers or as text.

    Raises:
        ValueError: A key is missing or broken.

    Reference:
        ``rleFrString`` of https://github.com/cocodataset/cocoapi, common/maskApi.c.
    """
    try:
        rows, columns = (whole_number(value) for value in member(mask, "size", list))
        counts = mask.get("counts")
        is_text = isinstance(counts, str)
        lengths = (
            _decode(str(counts))
            if is_text
            else list(map(whole_number, member(mask, "counts", list)))
        )
    except (ValueError, IndexError) as error:
        raise ValueError(f"the run lengths are broken: {error}") from error
    edges = list(accumulate(lengths, initial=0))
    if edges[-1] > rows * columns or min(lengths, default=0) < 0:
        raise ValueError(f"the run lengths do not fit the size {rows} x {columns}")
    runs = [(start, end) for start, end in list(pairwise(edges))[1::2] if end > start]
    if not runs:
        return None
    # A run that goes on into the next column reaches the bottom of its own and the top of that.
    whole = any(start // rows != (end - 1) // rows for start, end in runs)
    top = 0 if whole else min(start % rows for start, _ in runs)
    bottom = rows if whole else max((end - 1) % rows for _, end in runs) + 1
    left = min(start // rows for start, _ in runs)
    right = max((end - 1) // rows for _, end in runs) + 1
    return float(left), float(top), float(right), float(bottom)


def _check_mask_size(rows_and_columns: Sequence[Any], image: tuple[int, int] | None) -> None:
    """Check that a mask is as large as its image, if the labels have its size."""
    rows, columns = map(whole_number, rows_and_columns)
    if image is not None and image != (columns, rows):
        width, height = image
        raise ValueError(
            f"the mask has {rows} x {columns} rows and columns, and its image has"
            f" {height} x {width}"
        )


def _decode(text: str) -> list[int]:
    """Decode the text of run lengths: groups of five bits, as differences from the third on."""
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            if shift > _LONGEST_RUN:
                raise ValueError("a run length is cut off")
            continue
        if bits & 0x10:
            value |= -1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
