"""Plan the chips of scenes: which objects each window shows, and which windows validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geodet.config import TileConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.windows import Window, WindowGrid
from geodet.tilesets.ground_blocks import drop_shared_ground, place_on_ground
from geodet.tilesets.labelled_scene import LabelledScene, share_inside
from geodet.tilesets.splits import Split, pick_val_places

__all__ = [
    "ChipPlan",
    "VisibleObjects",
    "drop_overlapping",
    "find_visible_objects",
    "plan_chips",
    "split_blocks",
]

_LEAST_SEEN_PX = 0.001  # sides of what a window shows of an object that it does not keep
_LEAST_INSIDE = 0.5  # share of a window without objects that lies in the area of interest


@dataclass(frozen=True, slots=True)
class VisibleObjects:
    """Pairs of a window and an object that it shows at least in part, sorted by window."""

    window: Ints
    """(P,) index of the window."""
    object: Ints
    """(P,) index of the object."""
    kept: NDArray[np.bool_]
    """(P,) whether the window shows enough of the object to keep it as a label."""

    def of(self, window: int) -> slice:
        """Return the rows of one window."""
        low, high = np.searchsorted(self.window, [window, window + 1])
        return slice(int(low), int(high))


@dataclass(frozen=True, slots=True)
class ChipPlan:
    """Windows of scenes that may become chips."""

    windows: list[Window]
    """Every window, scene by scene."""
    scene: Ints
    """(W,) index of the scene of each window."""
    visible: VisibleObjects
    """Objects that each window shows, numbered over all scenes."""
    blocks: list[str]
    """Name of the block that each window belongs to."""
    full: dict[Split, list[int]]
    """Indices of windows with objects, in the order of the grids."""
    empty: dict[Split, list[int]]
    """Indices of windows without objects, in random order."""
    outside: int
    """Number of windows outside of the area of interest, without objects and for the most part."""
    elsewhere: int
    """Number of windows left out because another scene's validation window alone shows their
    ground."""

    @property
    def overlapping(self) -> int:
        """Number of windows left out because they share ground with a validation window."""
        planned = sum(len(v) for d in (self.full, self.empty) for v in d.values())
        return len(self.windows) - planned - self.outside


def plan_chips(scenes: Sequence[LabelledScene], config: TileConfig) -> ChipPlan:
    """Choose the windows that may become chips, and which of them validate.

    Args:
        scenes: At least one.
        config: Sizes and shares.

    Raises:
        TilesetError: No split leaves training and validation chips with objects.
    """
    grids = [
        list(WindowGrid(s.geobox.width, s.geobox.height, config.chip_size, config.overlap))
        for s in scenes
    ]
    windows = [window for grid in grids for window in grid]
    owner = np.repeat(np.arange(len(scenes)), [len(grid) for grid in grids])
    visible = _find_in_scenes(scenes, grids, config.min_visible)
    is_full = np.zeros(len(windows), np.bool_)
    is_full[visible.window[visible.kept]] = True
    here = _are_labelled(scenes, windows, owner, is_full)
    names, sides = [s.name for s in scenes], [_choose_side(s, config) for s in scenes]
    placed = place_on_ground(names, [s.geobox for s in scenes], _to_corners(windows), owner)
    blocks = placed.name_blocks(names, sides)
    is_val = np.zeros(len(windows), np.bool_)
    is_val[here] = split_blocks(
        [block for block, is_here in zip(blocks, here, strict=True) if is_here],
        is_full[here],
        config.val_fraction,
        config.seed,
    )
    if config.val_fraction and not np.any(is_val & is_full):
        raise TilesetError(
            f"no split is possible: all objects are in one block of {max(sides)} px",
            hint="lower tile.block_size, or set tile.val_fraction=0 for no validation chips",
        )
    stays = here.copy()
    for index in range(len(scenes)):
        rows = np.flatnonzero(owner == index)
        stays[rows] &= drop_overlapping(grids[index], is_val[rows])
    before = int(stays.sum())
    stays &= drop_shared_ground(placed, is_val)
    elsewhere = before - int(stays.sum())
    if not np.any(stays & is_full & ~is_val):
        raise TilesetError(
            "no split is possible: every training chip with objects overlaps a validation chip",
            hint="lower tile.overlap or tile.chip_size, or raise tile.block_size",
        )
    rng = np.random.default_rng(config.seed)
    parts: dict[Split, NDArray[np.bool_]] = {"train": stays & ~is_val, "val": is_val}
    full = {split: np.flatnonzero(part & is_full).tolist() for split, part in parts.items()}
    empty = {
        split: rng.permutation(np.flatnonzero(part & ~is_full)).tolist()
        for split, part in parts.items()
    }
    return ChipPlan(windows, owner, visible, blocks, full, empty, int((~here).sum()), elsewhere)


def _find_in_scenes(
    scenes: Sequence[LabelledScene], grids: Sequence[Sequence[Window]], min_visible: float
) -> VisibleObjects:
    """Find the objects of all scenes' windows; those that are not learnt are not kept.

    Returns:
        Windows and objects numbered over all scenes.
    """
    found, windows, objects = [], 0, 0
    for scene, grid in zip(scenes, grids, strict=True):
        own = find_visible_objects(grid, scene.boxes, scene.is_point, min_visible)
        kept = own.kept & scene.is_learnt[own.object]
        found.append((own.window + windows, own.object + objects, kept))
        windows, objects = windows + len(grid), objects + len(scene.boxes)
    return VisibleObjects(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _are_labelled(
    scenes: Sequence[LabelledScene],
    windows: Sequence[Window],
    owner: Ints,
    is_full: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether each window has an object, or lies in its scene's area of interest by half: (W,)."""
    here = np.ones(len(windows), np.bool_)
    for index, scene in enumerate(owner.tolist()):
        aoi = scenes[scene].aoi
        if aoi is not None and not is_full[index]:
            here[index] = share_inside(aoi, windows[index]) >= _LEAST_INSIDE
    return here


def _choose_side(scene: LabelledScene, config: TileConfig) -> int:
    """Return the side of a scene's blocks in pixels."""
    longest = max(scene.geobox.width, scene.geobox.height)
    return config.block_size or max(config.chip_size, longest // 6)


def find_visible_objects(
    windows: Sequence[Window], boxes: Floats, is_point: NDArray[np.bool_], min_visible: float
) -> VisibleObjects:
    """Find the objects that each window shows.

    Args:
        windows: Windows of the scene.
        boxes: (N, 4) objects in scene pixels.
        is_point: (N,) True where the box stands around a labelled point.
        min_visible: Smallest visible share of an object's area with which a window keeps it. An
            object labelled by a point is kept by the windows that contain the point.

    Returns:
        The pairs of a window and an object that share more area than rounding may give them.
    """
    tree = shapely.STRtree(shapely.box(*boxes.T))
    corners = _to_corners(windows)
    window, found = tree.query(shapely.box(*corners.T), predicate="intersects")
    order = np.lexsort((found, window))
    window, found = window[order], found[order]
    share = _visible_share(boxes[found], corners[window])
    centre = (boxes[found, :2] + boxes[found, 2:]) / 2
    # Half-open, so that a point on the edge between two windows is in one of them.
    inside = np.all((corners[window, :2] <= centre) & (centre < corners[window, 2:]), axis=1)
    kept = np.where(is_point[found], inside, share >= min_visible)
    # An object that ends at the edge of a window is over it by the rounding of a change of CRS.
    is_seen = np.all(_shared_sides(boxes[found], corners[window]) > _LEAST_SEEN_PX, axis=1)
    some = (share > 0) & (kept | is_seen)
    return VisibleObjects(window[some], found[some], kept[some])


def _visible_share(boxes: Floats, windows: Floats) -> Floats:
    """Compute the share of each box's area inside the window of the same row: (P,)."""
    shared = np.prod(_shared_sides(boxes, windows), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    share: Floats = np.divide(shared, area, out=np.zeros_like(area), where=area > 0)
    return share


def _shared_sides(boxes: Floats, windows: Floats) -> Floats:
    """Compute the width and height of what each box and the window of its row share: (P, 2)."""
    low, high = np.maximum(boxes[:, :2], windows[:, :2]), np.minimum(boxes[:, 2:], windows[:, 2:])
    sides: Floats = np.clip(high - low, 0, None)
    return sides


def split_blocks(
    blocks: Sequence[str], has_objects: NDArray[np.bool_], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Choose the windows that validate, by whole blocks.

    The fraction applies to blocks with objects and to blocks without objects separately, so that
    both parts of the split have objects.

    Args:
        blocks: Name of the block of each window.
        has_objects: (W,) whether the window shows an object.
        fraction: Share of the blocks that validate.
        seed: Seed of the choice.

    Returns:
        (W,) True where the window validates.
    """
    full = {block for block, full in zip(blocks, has_objects, strict=True) if full}
    chosen = [
        *pick_val_places(list(full), fraction, seed),
        *pick_val_places(list({*blocks} - full), fraction, seed),
    ]
    val = {block for block, is_val in chosen if is_val}
    return np.array([block in val for block in blocks], np.bool_)


def drop_overlapping(windows: Sequence[Window], is_val: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop the training windows that overlap a validation window.

    Law: no training window that is kept shares a pixel with a validation window.

    Args:
        windows: All windows.
        is_val: (W,) True where a window validates; all of these are kept.

    Returns:
        (W,) True where the window is kept.
    """
    corners = _to_corners(windows)
    val = np.flatnonzero(is_val)
    tree = shapely.STRtree(shapely.box(*corners[val].T))
    window, other = tree.query(shapely.box(*corners.T), predicate="intersects")
    stays = np.ones(len(windows), np.bool_)
    stays[window[_visible_share(corners[window], corners[val[other]]) > 0]] = False
    return stays | is_val


def _to_corners(windows: Sequence[Window]) -> Floats:
    """Convert windows to boxes: (W, 4)."""
    rows = [(w.col_off, w.row_off, w.col_end, w.row_end) for w in windows]
    return np.array(rows, np.float64).reshape(-1, 4)
