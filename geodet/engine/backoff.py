"""Out of device memory: halve the batch and go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from geodet.errors import DeviceError

__all__ = ["BackOff"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")


class BackOff(Generic[T, R]):
    """A function of a batch that is called with less where the memory does not suffice.

    The results are those of the function, in order. Once a batch was too large, later ones are cut
    to half of it before they are tried.

    Args:
        function: Gives one result for each item.
        release: Called after a failure, to give cached memory back.
    """

    def __init__(
        self,
        function: Callable[[Sequence[T]], list[R]],
        release: Callable[[], None] = torch.cuda.empty_cache,
    ) -> None:
        self._function, self._release = function, release
        self._most: int | None = None

    def __call__(self, items: Sequence[T]) -> list[R]:
        """Call the function with all items, or with fewer at a time.

        Raises:
            DeviceError: Not even one item fits.
        """
        results: list[R] = []
        while len(results) < len(items):
            some = items[len(results) :][: self._most]
            failure = ""
            try:
                results += self._function(some)
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not _is_out_of_memory(error):
                    raise
                failure = str(error).splitlines()[0]
            if failure:  # outside of the handler, whose error keeps the frames and their memory
                self._halve(len(some), failure)
                self._release()
        return results

    def attempt(self, function: Callable[[A], B], argument: A, *, size: int) -> B | None:
        """Call another function, of the memory of so many items; None where it does not suffice.

        The items are then to be given to this one, which warns and goes on with fewer.
        """
        if self._most is not None and size > self._most:
            return None
        try:
            return function(argument)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        self._release()
        return None

    def _halve(self, size: int, message: str) -> None:
        if size == 1:
            raise DeviceError(
                f"one chip does not fit into the memory of the device: {message}",
                hint="lower detect.chip_size, or free memory",
            )
        self._most = size // 2
        logger.warning("out of memory with %d chips in a batch: going on with %d", size, self._most)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Recognise torch's own error, and the plain one of its allocator on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
