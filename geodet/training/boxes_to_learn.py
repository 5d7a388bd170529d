"""The boxes of a tileset that a network learns: axis-aligned or oriented ones."""

from __future__ import annotations

from dataclasses import replace

from geodet.config import ModelConfig
from geodet.errors import TilesetError
from geodet.geometry.oriented_boxes import hulls
from geodet.tilesets.labels import LabelledImage, Tileset

__all__ = ["has_oriented", "with_boxes_to_learn"]


def has_oriented(tileset: Tileset) -> bool:
    """Whether a training label has four corners at an angle."""
    return any(image.oriented is not None for image in tileset.split("train"))


def with_boxes_to_learn(tileset: Tileset, config: ModelConfig) -> Tileset:
    """Return a tileset whose boxes are those that a network is to find.

    For oriented boxes each image gets some, those of labels without four corners being their boxes,
    and the boxes become their bounds.

    Args:
        tileset: The labels.
        config: ``boxes``.

    Raises:
        TilesetError: Oriented boxes are to be learnt, and no training label stands at an angle.
    """
    if config.boxes != "oriented":
        return tileset
    if not has_oriented(tileset):
        raise TilesetError(
            f"{tileset.root} has no oriented boxes: no training label has four corners at an angle",
            hint="label by rotated rectangles, in one of the formats of DOTA, YOLO-OBB, COCO "
            'polygons, CVAT or labelme, or leave model.boxes = "axis_aligned"',
            path=tileset.root,
        )
    return replace(tileset, images=tuple(map(_with_oriented, tileset.images)))


def _with_oriented(image: LabelledImage) -> LabelledImage:
    oriented = image.oriented_boxes
    return replace(image, boxes=hulls(oriented), oriented=oriented)
