"""The progress of several workers together, whose parts come in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from geodet.detection.progress import DetectProgress
from geodet.jobs.job_plan import JobPlan
from geodet.jobs.shard_run import Task

__all__ = ["FleetProgress"]


class FleetProgress:
    """Counts the parts of a job as workers finish them, and reports each.

    Args:
        plan: The job.
        tasks: The bands to search, by scene.
        show: Called with the progress of all workers together.
        others: Pixels of bands that an earlier run has searched.
    """

    def __init__(
        self,
        plan: JobPlan,
        tasks: Iterable[Task],
        show: Callable[[DetectProgress], None],
        *,
        others: int = 0,
    ) -> None:
        self._plan, self._show = plan, show
        self._left = {number: set(bands) for number, bands in tasks}
        self._parts = sum(map(len, self._left.values()))
        wanted = sum(self._pixels(number, bands) for number, bands in self._left.items())
        self._total, self._over = others + wanted, others
        self._found: Counter[int] = Counter()
        self._done, self._failures = 0, 0
        if others and self._left:
            self._report(next(iter(self._left)), 0, 0, is_old=True)

    def note_done(self, number: int, bands: Sequence[int], found: int) -> None:
        """Count bands of a scene.

        Args:
            number: Number of the scene.
            bands: Their numbers.
            found: Detections in them.
        """
        new = self._left[number].intersection(bands)
        self._left[number] -= new
        self._done += len(new)
        self._found[number] += found
        pixels = self._pixels(number, new)
        self._over += pixels
        self._report(number, len(new), pixels)

    def note_failure(self, number: int) -> None:
        """Count a scene that cannot be read to its end; what is left of it is left out."""
        lost = self._left.pop(number, set())
        if lost:
            self._failures += 1
            self._parts -= len(lost)
            self._total -= self._pixels(number, lost)
            self._left[number] = set()
            self._report(number, 0, 0)

    def _pixels(self, number: int, bands: Iterable[int]) -> int:
        sizes = self._plan.scenes[number].bands
        return sum(sizes[band] for band in bands)

    def _report(self, number: int, bands: int, pixels: int, *, is_old: bool = False) -> None:
        scene = self._plan.scenes[number]
        self._show(
            DetectProgress(
                scene.planned.name,
                bands,
                len(scene.bands),
                pixels,
                self._found[number],
                number + 1,
                len(self._plan.scenes),
                self._over / max(self._total, 1),
                resumed=is_old,
                parts=self._done,
                all_parts=self._parts,
                failures=self._failures,
            )
        )
