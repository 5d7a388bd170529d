"""Keep the warnings of a run, for its report."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

__all__ = ["WarningLog"]

_MOST = 200  # that are kept; one scene may warn like a thousand others


class WarningLog(logging.Handler):
    """Keeps what geodet warns of within its ``with`` blocks, each text once.

    Example:
        >>> with WarningLog() as log:
        ...     logging.getLogger("geodet.raster").warning("%s has no CRS", "a.tif")
        >>> log.texts
        ['a.tif has no CRS']
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: dict[str, None] = {}

    @property
    def texts(self) -> list[str]:
        """Return the warnings, in the order in which they first came; at most 200."""
        return list(self._seen)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        if len(self._seen) < _MOST:
            self._seen[record.getMessage()] = None

    def __enter__(self) -> Self:
        logging.getLogger("geodet").addHandler(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger("geodet").removeHandler(self)
