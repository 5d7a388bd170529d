"""Read the GeoJSON file of xView, whose boxes are in the pixels of its images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image, parse_box, read_text

__all__ = ["read_xview"]

_NAMES = "xview_class_labels.txt"


def read_xview(path: Path, folders: Sequence[Path]) -> ParsedLabels:
    """Read the GeoJSON of xView: ``bounds_imcoords``, ``image_id`` and ``type_id`` of each object.

    Class names are in ``xview_class_labels.txt`` beside it; without one, the numbers are the names.
    Images that the file names but that do not exist, such as 1395.tif, are left out with a warning.

    Args:
        path: The GeoJSON.
        folders: Folders that may contain the images; the first that does is used.

    Raises:
        TilesetError: The file is broken, or none of its images exists.
    """
    names = _read_names(path.with_name(_NAMES))
    images: dict[str, ParsedImage] = {}
    try:
        for number, feature in enumerate(json.loads(read_text(path))["features"], start=1):
            about = feature["properties"]
            name, kind = str(about["image_id"]), str(about["type_id"])
            if name not in images:
                images[name] = ParsedImage(find_image(name, folders), f"{path}, feature ")
            box = parse_box(str(about["bounds_imcoords"]).split(","), f"{path}, feature {number}")
            images[name].add(box, names.get(kind, kind), number)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TilesetError(
            f"{path}: broken: {error!r}",
            hint="an object of xView needs image_id, type_id and bounds_imcoords",
            path=path,
        ) from error
    present = [image for image in images.values() if image.path.is_file()]
    labels = ParsedLabels(path, present or list(images.values()))
    if present and len(present) < len(images):
        lost = next(name for name, image in images.items() if not image.path.is_file())
        labels.notes.append(
            f"{path}: {len(images) - len(present)} of {len(images)} images do not exist and are"
            f" left out, such as {lost}"
        )
    return labels


def _read_names(file: Path) -> dict[str, str]:
    lines = read_text(file).splitlines() if file.is_file() else []
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {number.strip(): name.strip() for number, _, name in pairs}
