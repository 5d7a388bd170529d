"""Find pictures that are in two parts of the split, which makes validation too optimistic."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.errors import SceneError
from geodet.geometry.windows import Window
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage

__all__ = ["find_duplicates"]

_ROWS = 8  # of each picture, from its top, that are compared first
_MOST_READ = 5000  # pictures; of more only the bytes of the files are compared
_Pair = tuple[Path, Path]
_Groups = dict[Hashable, list[LabelledImage]]


def find_duplicates(
    first: Sequence[LabelledImage], second: Sequence[LabelledImage]
) -> list[tuple[Path, Path]]:
    """Find images of one part that have the same bytes, or the same pixels, as one of another.

    Only what may be equal is read: files of one length, and the first rows of images of one size. A
    picture of one colour is no duplicate of another. Of more than 5000 images, which take long to
    open, only the bytes are compared.

    Args:
        first: The images of one part, such as training.
        second: Those of another.

    Returns:
        A pair of files for each image of ``second`` that has a duplicate.
    """
    keys: list[Callable[[LabelledImage], Hashable]] = [_length, _digest_of_file]
    found = dict(_iter_pairs(first, second, keys))
    if len(first) + len(second) <= _MOST_READ:
        rest = [image for image in second if image.path not in found]
        found |= dict(_iter_pairs(first, rest, [_size, _digest_of_top, _digest_of_pixels]))
    return [(found[image.path], image.path) for image in second if image.path in found]


def _iter_pairs(
    first: Sequence[LabelledImage],
    second: Sequence[LabelledImage],
    keys: Sequence[Callable[[LabelledImage], Hashable]],
) -> Iterator[_Pair]:
    """Yield each image of the second part and one of the first that has all keys in common.

    The later keys, which take longer, are computed only where the earlier ones agree; an image
    whose key is None has no duplicate.
    """
    if not first or not second:
        return
    if not keys:
        if not _is_plain(second[0]):
            yield from ((image.path, first[0].path) for image in second)
        return
    groups = _grouped(first, keys[0])
    for key, images in _grouped(second, keys[0]).items():
        if key is not None:
            yield from _iter_pairs(groups.get(key, []), images, keys[1:])


def _grouped(images: Sequence[LabelledImage], key: Callable[[LabelledImage], Hashable]) -> _Groups:
    groups: _Groups = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return groups


def _length(image: LabelledImage) -> Hashable:
    return image.path.stat().st_size


def _digest_of_file(image: LabelledImage) -> Hashable:
    with image.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _size(image: LabelledImage) -> Hashable:
    return image.width, image.height


def _digest_of_top(image: LabelledImage) -> Hashable:
    return _digest(_read(image, _ROWS))


def _digest_of_pixels(image: LabelledImage) -> Hashable:
    return _digest(_read(image, image.height))


def _is_plain(image: LabelledImage) -> bool:
    """Whether a picture has one colour, or cannot be read."""
    pixels = _read(image, image.height)
    return pixels is None or bool((pixels == pixels[:, :1, :1]).all())


def _digest(pixels: NDArray[Any] | None) -> Hashable:
    if pixels is None:
        return None
    about = f"{pixels.dtype.name} {pixels.shape}".encode()
    return hashlib.sha256(about + np.ascontiguousarray(pixels).tobytes()).digest()


def _read(image: LabelledImage, rows: int) -> NDArray[Any] | None:
    """Read the first rows; None if they cannot be read, which whoever reads them next reports."""
    try:
        with open_image(image) as scene:
            return scene.read(Window(0, 0, image.width, min(rows, image.height))).pixels
    except SceneError:
        return None
