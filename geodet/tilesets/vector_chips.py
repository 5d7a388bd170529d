"""Read the labels of georeferenced chips from one vector file for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from geodet.config import TileConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.full_turns import full_turn
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.displayed_images import read_geoboxes
from geodet.tilesets.label_files import LABEL_ENDS
from geodet.tilesets.outlines import add_outline
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels
from geodet.tilesets.scene_labels import SceneLabels, read_scene_labels
from geodet.tilesets.splits import has_georeference

__all__ = ["find_vector_file", "read_vector_chips"]

_NO_CLASS = ""  # until data.class_name is known
_LARGEST = 8192  # pixels on a side; larger images are scenes


def find_vector_file(folder: Path) -> Path | None:
    """Return the one vector file in a folder or its ``labels`` or ``annotations``, if any.

    Raises:
        TilesetError: There are several.
    """
    places = [folder, *(folder / name for name in ("labels", "annotations"))]
    files = [
        file
        for place in places
        if place.is_dir()
        for file in sorted(place.iterdir())
        if file.suffix.lower() in LABEL_ENDS
    ]
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise TilesetError(
            f"{folder}: several vector files: {names}",
            hint="keep the one with the labels, or cut each scene with `geodet tile`",
            path=folder,
        )
    return files[0] if files else None


def read_vector_chips(
    path: Path, images: Sequence[Path], label_field: str | None = None
) -> ParsedLabels:
    """Read the objects that each chip shows, as boxes in its pixels.

    An object of which a chip shows too little, as with ``geodet tile``, is an ignored region there.

    Args:
        path: The vector file, in any CRS.
        images: The chips.
        label_field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any;
            empty: all objects are of one class.

    Raises:
        TilesetError: A chip has no georeference, is as large as a scene, or no chip has an object.
        VectorError: The vector file cannot be read.
    """
    items = [ParsedImage(image, f"{path}, object ") for image in images]
    geoboxes = read_geoboxes(items)
    _check_chips(path, items, geoboxes)
    labels = ParsedLabels(path, items)
    read: dict[str, tuple[SceneLabels, shapely.STRtree]] = {}
    shown: set[int] = set()
    for item, geobox in zip(items, geoboxes, strict=True):
        key = geobox.crs.to_wkt() if geobox.crs else ""
        if key not in read:
            objects = read_scene_labels(
                path, geobox.crs, label_field=label_field, class_name=_NO_CLASS
            )
            read[key] = objects, shapely.STRtree(objects.geometries)
        shown.update(_add_objects(item, geobox, *read[key]))
    count = len(next(iter(read.values()))[0])
    if not shown:
        raise TilesetError(
            f"none of the {count} labels in {path} lies in one of the {len(images)} images",
            hint="check the CRS of both",
            path=path,
        )
    if len(shown) < count:
        labels.notes.append(
            f"{count - len(shown)} of {count} labels in {path} lie in none of the images"
        )
    return labels


def _check_chips(path: Path, items: Sequence[ParsedImage], geoboxes: Sequence[GeoBox]) -> None:
    for item, geobox in zip(items, geoboxes, strict=True):
        if not has_georeference(geobox):
            raise TilesetError(
                f"{item.path} has no georeference, so its labels in {path} have no place in it",
                hint="give georeferenced images, or labels in pixels such as COCO or YOLO",
                path=item.path,
            )
        if max(geobox.width, geobox.height) > _LARGEST:
            raise TilesetError(
                f"{item.path} is a scene of {geobox.width} x {geobox.height} px, not a chip",
                hint=f"cut it first: geodet tile {item.path} --labels {path} -o tiles",
                path=item.path,
            )


def _add_objects(
    item: ParsedImage, geobox: GeoBox, objects: SceneLabels, tree: shapely.STRtree
) -> list[int]:
    """Add the objects that a chip shows, and return their numbers in the file."""
    size = np.array([geobox.width, geobox.height], np.float64)
    corners = geobox.to_world(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size)
    near = _find_near(corners, full_turn(geobox.crs), tree)
    part = SceneLabels(objects.geometries[near], tuple(objects.names[row] for row in near))
    boxes, is_point = part.to_pixels(geobox), part.is_point
    clipped, quads = (
        np.clip(boxes, 0, np.tile(size, 2)),
        part.quads(geobox, np.asarray(np.isfinite(boxes).all(axis=1), np.bool_)),
    )
    added = []
    for row, number in enumerate(near.tolist()):
        share = _area(clipped[row]) / max(_area(boxes[row]), 1e-12)
        if is_point[row]:
            x, y = boxes[row, :2].tolist()
            inside = 0 <= x < size[0] and 0 <= y < size[1]  # a point on a seam is in one chip
            points = [(x, y)] if inside else []
        else:
            x1, y1, x2, y2 = clipped[row].tolist()
            points = [(x1, y1), (x2, y2)] if share > 0 else []
        if points:
            ignored = not is_point[row] and share < TileConfig().min_visible
            name = part.names[row] or None
            add_outline(item, points, name, number + 1, ignored, corners=quads.get(row, ()))
            added.append(number)
    return added


def _find_near(corners: Floats, turn: float, tree: shapely.STRtree) -> Ints:
    """Return the objects that meet a chip, also where their longitudes differ by a full turn."""
    turns = [0.0, -turn, turn] if turn else [0.0]
    chips = shapely.polygons([corners + np.array([one, 0.0]) for one in turns])
    found: Ints = np.unique(tree.query(chips, predicate="intersects")[1])
    return found


def _area(box: Floats) -> float:
    return float(np.prod(box[2:] - box[:2]))
