"""Arrays that wait: in memory up to an amount, beyond it in a temporary file."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.files.closable import Closing
from geodet.files.outputs import raising_output_errors

__all__ = ["SpilledArrays"]


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of an array in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class SpilledArrays(Closing):
    """Groups of arrays by a number; the file has no name and goes with the process.

    Args:
        folder: Where to create the file, when it is needed; None: the system's folder for
            temporary files.
        most_bytes: What is held in memory, at most.
    """

    def __init__(self, folder: Path | None = None, *, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._held: dict[int, tuple[NDArray[Any], ...]] = {}
        self._spilled: dict[int, tuple[_Place, ...]] = {}
        self._bytes = 0
        self._file: Any = None

    def add(self, key: int, arrays: Sequence[NDArray[Any]]) -> None:
        """Keep arrays.

        Raises:
            OutputError: The temporary file cannot be written.
        """
        size = sum(array.nbytes for array in arrays)
        if self._bytes + size <= self._most_bytes:
            self._held[key] = tuple(arrays)
            self._bytes += size
            return
        with raising_output_errors(self._folder or Path(tempfile.gettempdir())):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            self._spilled[key] = tuple(self._write(array) for array in arrays)

    def read(self, key: int) -> tuple[NDArray[Any], ...]:
        """Return the arrays that were kept under a number."""
        if key in self._held:
            return self._held[key]
        return tuple(self._read(place) for place in self._spilled[key])

    def remove(self, key: int) -> None:
        """Drop the arrays of a number; the file is cut when all that it holds are dropped."""
        if key in self._held:
            self._bytes -= sum(array.nbytes for array in self._held.pop(key))
            return
        del self._spilled[key]
        if not self._spilled:
            self._file.truncate(0)

    def close(self) -> None:
        """Drop all arrays and remove the file."""
        self._held.clear()
        self._spilled.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _write(self, array: NDArray[Any]) -> _Place:
        place = _Place(self._file.seek(0, 2), array.shape, array.dtype)
        self._file.write(np.ascontiguousarray(array).tobytes())
        return place

    def _read(self, place: _Place) -> NDArray[Any]:
        self._file.seek(place.offset)
        content = self._file.read(math.prod(place.shape) * place.dtype.itemsize)
        array: NDArray[Any] = np.frombuffer(content, place.dtype).reshape(place.shape)
        return array
