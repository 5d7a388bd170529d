"""Split images into training and validation by the places that they show.

A validation image of the same ground as a training image measures memorisation, not detection.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Literal

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.full_turns import turns_together
from geodet.geometry.geobox import GeoBox

__all__ = [
    "PART_WORDS",
    "Part",
    "Split",
    "choose_split",
    "find_places",
    "has_georeference",
    "natural_key",
    "pick_val_places",
]

Split = Literal["train", "val", "test"]
Part = Literal["train", "val", "test", "all"]

PART_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What label files and folders call the parts of a split, in lower case."""


def has_georeference(geobox: GeoBox) -> bool:
    """Whether a raster has a CRS or a transform other than the identity."""
    return geobox.crs is not None or geobox.transform != Affine.identity()


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts frame 9 before frame 10.

    Example:
        >>> sorted(["f10", "f9", "a1"], key=natural_key)
        ['a1', 'f9', 'f10']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def find_places(names: Sequence[str], geoboxes: Sequence[GeoBox]) -> list[str | None]:
    """Return the place of each image: images of the same ground have the same place.

    Images of one CRS whose footprints touch or overlap, directly or through others, share a place.
    It is named after the first of them in natural order.

    Args:
        names: Names of the images, all different.
        geoboxes: Geoboxes of the images, in the same order.

    Returns:
        The place of each image; None for an image without a georeference.
    """
    places: list[str | None] = [None] * len(names)
    worlds: dict[object, list[int]] = {}
    for index, box in enumerate(geoboxes):
        if has_georeference(box):
            worlds.setdefault(box.crs, []).append(index)
    for members in worlds.values():
        components = _connected([geoboxes[i] for i in members])
        first: dict[int, str] = {}
        for index, component in sorted(
            zip(members, components, strict=True), key=lambda pair: natural_key(names[pair[0]])
        ):
            places[index] = first.setdefault(int(component), names[index])
    return places


def _connected(geoboxes: Sequence[GeoBox]) -> NDArray[np.int32]:
    """Number the connected components of the footprints."""
    from scipy.sparse import coo_array  # which previews and detections do without
    from scipy.sparse.csgraph import connected_components

    corners = np.stack([_footprint(box) for box in geoboxes])  # of one CRS
    corners[..., 0] += turns_together(corners[..., 0], geoboxes[0].crs)
    polygons = shapely.polygons(corners)
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    count = len(geoboxes)
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    numbers: NDArray[np.int32] = connected_components(links, directed=False)[1]
    return numbers


def _footprint(box: GeoBox) -> NDArray[np.float64]:
    """Return the corners in the world, half a pixel further out than the image.

    Neighbours then touch despite rounding.
    """
    low, right, bottom = -0.5, box.width + 0.5, box.height + 0.5
    return box.to_world(np.array([[low, low], [right, low], [right, bottom], [low, bottom]]))


def choose_split(
    names: Sequence[str],
    places: Sequence[str | None],
    config: DataConfig,
) -> list[Split]:
    """Choose the validation images of a tileset that has no split of its own.

    If ``config.val`` has patterns of file names, the images that match validate. Otherwise a share
    of the places validates, the same on every machine. Of images without a place, the last ones in
    natural order validate, as one run, because neighbouring frames of a flight look the same; those
    that differ in their ending alone, such as a.png and a.jpg, go together. No image is chosen as a
    test image.

    Args:
        names: Names of the images; patterns match the file name or its stem.
        places: Places of the images, None if unknown.
        config: ``val`` and ``val_fraction``.

    Returns:
        The part of the split of each image.

    Raises:
        TilesetError: The patterns match no image or all, or there is only one place.
    """
    if config.val:
        return _split_by_name(names, config.val)
    val = {
        name
        for name, chosen in pick_val_places([p for p in places if p], config.val_fraction)
        if chosen
    }
    unplaced = {
        n: str(PurePath(n).with_suffix("")) for n, p in zip(names, places, strict=True) if p is None
    }
    unknown = sorted(set(unplaced.values()), key=natural_key)
    run = unknown[len(unknown) - _share(len(unknown), config.val_fraction) :]
    if not val and not run:
        raise TilesetError(
            "no split is possible: all images show one place",
            hint="add a second place, or choose the validation images with data.val",
        )
    chosen = set(run)
    return [
        "val" if (unplaced[name] in chosen if place is None else place in val) else "train"
        for name, place in zip(names, places, strict=True)
    ]


def pick_val_places(
    places: Sequence[str], fraction: float, seed: int = 0
) -> list[tuple[str, bool]]:
    """Choose a share of the places for validation: at least one, never all.

    The places are ranked by a hash, so the choice depends only on the names and the seed.

    Args:
        places: Names of places; they may repeat.
        fraction: Share of the places to choose, in [0, 1); 0 chooses none.
        seed: Seed of the choice.

    Returns:
        Each distinct place, sorted by name, and whether it was chosen.
    """
    unique = sorted(set(places))
    ranked = sorted(unique, key=lambda p: hashlib.sha256(f"{seed}:{p}".encode()).digest())
    chosen = set(ranked[: _share(len(unique), fraction)])
    return [(place, place in chosen) for place in unique]


def _share(count: int, fraction: float) -> int:
    """Round a share to a number of at least one and less than all; 0 if there is no such number."""
    if count < 2 or fraction == 0:
        return 0
    return min(max(round(count * fraction), 1), count - 1)


def _split_by_name(names: Sequence[str], patterns: Sequence[str]) -> list[Split]:
    splits: list[Split] = ["val" if _matches(n, patterns) else "train" for n in names]
    if len(set(splits)) == 1:
        which = "all" if splits[0] == "val" else "none"
        raise TilesetError(
            f"data.val = {list(patterns)} matches {which} of the {len(names)} images",
            hint="patterns match file names or their stems, such as 'flight2_*'",
        )
    return splits


def _matches(name: str, patterns: Sequence[str]) -> bool:
    path = PurePath(name)
    return any(fnmatchcase(path.name, p) or fnmatchcase(path.stem, p) for p in patterns)
