"""Shards of a job: which bands of which scenes one of several processes searches."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from geodet.errors import ConfigError

__all__ = ["Shard", "bands_of_shard", "parse_shard", "shard_from_environment"]

_STEP = "SLURM_ARRAY_TASK_STEP"
_HINT = "write the number of the shard, from 1, and how many there are, such as --shard 3/64"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal shards of a job.

    Raises:
        ConfigError: There is no such shard.

    Example:
        >>> str(Shard(3, 64))
        '3/64'
    """

    number: int = 1
    """From 1."""
    count: int = 1
    """Number of shards."""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"there is no shard {self.number} of {self.count}", hint=_HINT)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Parse a shard as it is typed.

    Raises:
        ConfigError: It is not one.

    Example:
        >>> parse_shard("3/64")
        Shard(number=3, count=64)
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    if found is None:
        raise ConfigError(f"{text!r} is not a shard of a job", hint=_HINT)
    return Shard(int(found[1]), int(found[2]))


def shard_from_environment(environment: Mapping[str, str]) -> Shard:
    """Return the shard that a scheduler has given to this process; all of the job without one.

    Slurm numbers the tasks of an array from any number, and torchrun and others set RANK, from 0.

    Args:
        environment: The variables of the process.

    Raises:
        ConfigError: The tasks of a Slurm array are not numbered one after another, so that the
            shards are unknown.

    Example:
        >>> shard_from_environment({"RANK": "2", "WORLD_SIZE": "64"})
        Shard(number=3, count=64)
    """
    if "SLURM_ARRAY_TASK_ID" in environment:
        return _shard_of_array(environment)
    if "RANK" in environment and "WORLD_SIZE" in environment:
        rank, count = (_number(environment, name) for name in ("RANK", "WORLD_SIZE"))
        return Shard(rank + 1, count)
    return Shard()


def _shard_of_array(environment: Mapping[str, str]) -> Shard:
    names = ("ID", "MIN", "MAX", "COUNT")
    task, first, last, count = (_number(environment, f"SLURM_ARRAY_TASK_{name}") for name in names)
    step = _number({_STEP: "1", **environment}, _STEP)
    if (last - first) // max(step, 1) + 1 != count:
        raise ConfigError(
            f"the Slurm array has {count} tasks, not those from {first} to {last}: the shard of "
            "each is unknown",
            hint="name the shard: --shard $SLURM_ARRAY_TASK_ID/COUNT",
        )
    return Shard((task - first) // max(step, 1) + 1, count)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdecimal():
        raise ConfigError(f"{name} is {text!r}, which is not a number", hint=_HINT)
    return int(text)


def bands_of_shard(pixels: Sequence[Sequence[int]], shard: Shard) -> Iterator[tuple[int, range]]:
    """Yield the bands of a shard: neighbours, so that few scenes are opened and read twice.

    Laws: each band is in exactly one shard of those of one count; the pixels of a shard differ from
    those of an equal one by less than the largest band.

    Args:
        pixels: Pixels of the bands of each scene.
        shard: The shard.

    Yields:
        The number of a scene, and of its bands, where the shard has some.

    Example:
        >>> list(bands_of_shard([[5, 5, 5], [5]], Shard(2, 2)))
        [(0, range(2, 3)), (1, range(0, 1))]
    """
    counts = [len(bands) for bands in pixels]
    middles, before = [], 0
    for bands in pixels:
        for size in bands:
            middles.append(2 * before + size)  # twice, in whole numbers
            before += size
    begin, end = (
        bisect_left(middles, -(-2 * before * number // shard.count))
        for number in (shard.number - 1, shard.number)
    )
    if shard.number == shard.count:
        end = len(middles)
    for scene, first in enumerate(accumulate(counts, initial=0)):
        last = first + (counts[scene] if scene < len(counts) else 0)
        some = range(max(begin, first) - first, min(end, last) - first)
        if some:
            yield scene, some
