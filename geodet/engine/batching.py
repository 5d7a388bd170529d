"""Chips in batches of one shape, and what is still waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from geodet.scene import Chip

__all__ = ["Batch", "iter_batches"]


class Batch(NamedTuple):
    """Windows that are done together."""

    chips: list[tuple[int, Chip]]
    """Indices and chips, all of one shape; empty only if blank windows are left over."""
    empty: list[int]
    """Indices of blank windows that were met on the way."""
    waiting_from: int
    """Every window below this index is in this batch or in one before it."""


def iter_batches(
    chips: Iterable[tuple[int, Chip]],
    *,
    batch_size: int,
    is_blank: Callable[[Chip], bool] = lambda chip: not chip.valid.any(),
) -> Iterator[Batch]:
    """Group chips by shape: the last column and row of an aligned grid may be narrower.

    Args:
        chips: With their windows' indices, in rising order.
        batch_size: Most chips of a batch.
        is_blank: Whether the network need not see a chip.

    Yields:
        Each window once.
    """
    groups: dict[tuple[int, ...], list[tuple[int, Chip]]] = {}
    empty: list[int] = []
    following = 0
    for index, chip in chips:
        following = index + 1
        if is_blank(chip):
            empty.append(index)
            continue
        group = groups.setdefault(chip.valid.shape, [])
        group.append((index, chip))
        if len(group) == batch_size:
            del groups[chip.valid.shape]
            yield Batch(group, empty, _first(groups, following))
            empty = []
    while groups:
        group = groups.pop(min(groups, key=lambda shape: groups[shape][0][0]))
        yield Batch(group, empty, _first(groups, following))
        empty = []
    if empty:
        yield Batch([], empty, following)


def _first(groups: dict[tuple[int, ...], list[tuple[int, Chip]]], otherwise: int) -> int:
    return min((group[0][0] for group in groups.values()), default=otherwise)
