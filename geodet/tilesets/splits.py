"""Split images into training and validation by the places that they show.

A validation image of the same ground as a training image measures memorisation, not detection.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Literal

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.full_turns import turns_together, within_half_turn
from geodet.geometry.geobox import WGS_84, GeoBox

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

_WITHOUT_VALIDATION = "train without validation: data.val_fraction=0"

PART_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of the parts of a split in label files and folders, in lower case."""


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

    Images whose footprints touch or overlap, directly or through others, share a place. It is named
    after the first of them in natural order. Images without a CRS are compared among themselves.

    Args:
        names: Names of the images, all different.
        geoboxes: Geoboxes of the images, in the same order.

    Returns:
        The place of each image; None for an image without a georeference.
    """
    places: list[str | None] = [None] * len(names)
    placed = [index for index, box in enumerate(geoboxes) if has_georeference(box)]
    if not placed:
        return places
    components = _connected([geoboxes[i] for i in placed])
    first: dict[int, str] = {}
    for index, component in sorted(
        zip(placed, components, strict=True), key=lambda pair: natural_key(names[pair[0]])
    ):
        places[index] = first.setdefault(int(component), names[index])
    return places


def _connected(geoboxes: Sequence[GeoBox]) -> NDArray[np.int32]:
    """Number the connected components of the footprints."""
    from scipy.sparse import coo_array  # which previews and detections do without
    from scipy.sparse.csgraph import connected_components

    worlds: dict[CRS | None, list[int]] = {}
    for index, box in enumerate(geoboxes):
        worlds.setdefault(box.crs, []).append(index)
    corners = np.stack([_footprint(box) for box in geoboxes])
    pairs = [np.array(rows)[_find_meeting(corners[rows], crs)] for crs, rows in worlds.items()]
    if len(worlds) > 1:
        pairs.append(_find_meeting(_to_degrees(corners, worlds), WGS_84))
    first, second = np.concatenate(pairs, axis=1)
    count = len(geoboxes)
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    numbers: NDArray[np.int32] = connected_components(links, directed=False)[1]
    return numbers


def _find_meeting(corners: Floats, crs: CRS | None) -> Ints:
    """Return which footprints of one CRS touch or overlap: (2, M); not those that lie nowhere."""
    finite = np.isfinite(corners).all(axis=(1, 2))
    shapes = np.full(len(corners), None, object)
    together = corners[finite]
    together[..., 0] += turns_together(together[..., 0], crs)
    shapes[finite] = shapely.polygons(together)
    pairs: Ints = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    return pairs


def _to_degrees(corners: Floats, worlds: Mapping[CRS | None, Sequence[int]]) -> Floats:
    """Convert footprints of several CRSs to longitudes and latitudes, infinite without any."""
    degrees = np.full_like(corners, np.inf)
    for crs, rows in worlds.items():
        if crs is None:
            continue
        try:
            transformer = Transformer.from_crs(crs, WGS_84, always_xy=True)
        except ProjError:
            continue  # a CRS of a building site has no place on the globe
        x, y = transformer.transform(*np.moveaxis(corners[rows], -1, 0))
        # A footprint may lie across the antimeridian.
        degrees[rows] = np.stack([within_half_turn(x, x[:, :1], 360.0), y], axis=-1)
    return degrees


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
    of the places validates, none if it is 0, the same on every machine. Of images without a place,
    the last ones in natural order validate, as one run, because neighbouring frames of a flight
    look the same; those that differ in their ending alone, such as a.png and a.jpg, go together.
    No image is chosen as a test image.

    Args:
        names: Names of the images; patterns match the file name or its stem.
        places: Places of the images, None if unknown.
        config: ``val`` and ``val_fraction``.

    Returns:
        The part of the split of each image.

    Raises:
        TilesetError: The patterns match no image or all, or there is only one place while
            ``val_fraction`` is not 0.
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
    if config.val_fraction and not val and not run:
        one = "there is one image" if len(names) == 1 else "all images show one location"
        raise TilesetError(
            f"no split is possible: {one}",
            hint=f"add images of a second location, or {_WITHOUT_VALIDATION}",
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
        if len(names) == 1:
            raise TilesetError(
                f"data.val = {list(patterns)} cannot split the only image, {names[0]}",
                hint=f"add a second image, or leave data.val out and {_WITHOUT_VALIDATION}",
            )
        raise TilesetError(
            f"data.val = {list(patterns)} matches {which} of the {len(names)} images",
            hint="patterns match file names or their stems, such as 'flight2_*'",
        )
    return splits


def _matches(name: str, patterns: Sequence[str]) -> bool:
    path = PurePath(name)
    return any(fnmatchcase(path.name, p) or fnmatchcase(path.stem, p) for p in patterns)
