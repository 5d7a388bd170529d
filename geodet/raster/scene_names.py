"""Names of scenes, which tell them apart in a layer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from geodet.raster.scene_lists import is_gdal_path

__all__ = ["find_scene_name", "name_files", "scene_names", "slashed_path"]

_UNSAFE = re.compile(r"[^\w.\- ]")


def scene_names(scenes: Sequence[str]) -> list[str]:
    """Name each scene by the shortest end of its path that no other scene has.

    Args:
        scenes: Different paths.

    Returns:
        File names, preceded by as many folders as make them unique, joined by slashes.

    Example:
        >>> scene_names(["2023/north/a.tif", "2024/north/a.tif", "2024/b.tif"])
        ['2023/north/a.tif', '2024/north/a.tif', 'b.tif']
    """
    parts = [_to_parts(scene) for scene in scenes]
    names: dict[int, str] = {}
    depth = 0
    while len(names) < len(scenes):
        depth += 1
        left = [row for row in range(len(scenes)) if row not in names]
        ends = {row: "/".join(parts[row][-depth:]) for row in left}
        shared = Counter(ends.values())
        for row, end in ends.items():
            if shared[end] == 1 or depth >= len(parts[row]):
                names[row] = end
    return [names[row] for row in range(len(scenes))]


def find_scene_name(scene: str, names: Collection[str]) -> str:
    """Find the name that :func:`scene_names` gave a scene among others.

    Args:
        scene: Path of the scene.
        names: Names of several scenes.

    Returns:
        The longest name that the path ends with; empty if there is none.

    Example:
        >>> find_scene_name("flights/2/a.tif", ["1/a.tif", "2/a.tif"])
        '2/a.tif'
    """
    parts = _to_parts(scene)
    ends = ["/".join(parts[-depth:]) for depth in range(len(parts), 0, -1)]
    return next((end for end in ends if end in names), "")


def name_files(names: Sequence[str]) -> dict[str, str]:
    """Name a file for each scene, without its extension where that is clear.

    Args:
        names: Different names of scenes, see :func:`scene_names`.

    Returns:
        Names by those of the scenes. They differ even where upper and lower case are the same, no
        file system refuses their characters, and none is that of a hidden file.

    Example:
        >>> name_files(["north/a.tif", "south/a.tif", "b.tif"])
        {'north/a.tif': 'north_a', 'south/a.tif': 'south_a', 'b.tif': 'b'}
    """
    whole = [_UNSAFE.sub("_", name.rstrip("/").lstrip("./")) or "_" for name in names]
    stems = [Path(name).stem for name in whole]
    shared = Counter(stem.casefold() for stem in stems)
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for name, full, stem in zip(names, whole, stems, strict=True):
        found = first = stem if shared[stem.casefold()] == 1 else full
        number = 1
        while found.casefold() in taken:
            number += 1
            found = f"{first}_{number}"
        taken.add(found.casefold())
        chosen[name] = found
    return chosen


def slashed_path(scene: str) -> str:
    """Return the absolute path of a scene, of whose ends :func:`scene_names` makes names.

    Example:
        >>> slashed_path("/vsizip/flights.zip/north/a.tif")
        'vsizip/flights.zip/north/a.tif'
    """
    return "/".join(_to_parts(scene))


def _to_parts(scene: str) -> list[str]:
    """Split a path into folders and file name, after making a relative one absolute."""
    if is_gdal_path(scene):
        return [part for part in re.split(r"[/\\]", scene) if part]
    path = Path(scene).absolute()
    if ".." in path.parts:  # the folder above the one that a link leads to
        path = path.parent.resolve() / path.name
    drive = [path.drive] if path.drive else []
    return [*drive, *path.parts[1:]]
