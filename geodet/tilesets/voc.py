"""Read labels from Pascal VOC files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from geodet.tilesets.labels import ParsedImage, ParsedLabels, parse_box
from geodet.tilesets.xml_files import read_xml

__all__ = ["read_voc"]


def read_voc(pairs: Iterable[tuple[Path, Path]]) -> ParsedLabels:
    """Read Pascal VOC XML files.

    Corners are continuous coordinates from 0, with ``xmax`` one past the last column. The files of
    the original challenge count pixels from 1 and include the last, but today's tools (labelImg,
    CVAT, Roboflow, HIT-UAV) write edges: their corners at 0 and at the image's width would be
    outside of the image otherwise. Objects marked ``difficult`` become ignored regions, as in the
    challenge.

    Args:
        pairs: Each image and its XML file. An image without a file has no objects.

    Raises:
        TilesetError: A file is broken.
    """
    return ParsedLabels(Path(), [_read_voc_image(path, file) for path, file in pairs])


def _read_voc_image(path: Path, file: Path) -> ParsedImage:
    image = ParsedImage(path, f"{file}, object ")
    if not file.is_file():
        return image
    root = read_xml(file)
    width, height = (root.findtext(f"size/{key}", "0") for key in ("width", "height"))
    if width.strip().isdigit() and height.strip().isdigit() and int(width) and int(height):
        image.size = (int(width), int(height))
    for number, item in enumerate(root.iter("object"), start=1):
        name = item.findtext("name", "").strip()
        values = [item.findtext(f"bndbox/{k}", "") for k in ("xmin", "ymin", "xmax", "ymax")]
        difficult = item.findtext("difficult", "0").strip() == "1"
        image.add(parse_box(values, f"{file}, object {number}"), name, number, ignored=difficult)
    return image
