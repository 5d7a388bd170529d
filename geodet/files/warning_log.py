"""Keep the warnings of a run, for its report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import TracebackType
from typing import Self

__all__ = ["WarningLog"]

_MOST = 200  # that are kept; one scene may warn like a thousand others


class WarningLog(logging.Handler):
    """Keeps what geodet warns of within its ``with`` blocks, each text once.

    It is added to the logger ``geodet``. Warnings that no handler of the program takes are shown on
    stderr as ever, which Python does only for a logger without any handler.

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
        """Keep a warning, and show it where nothing else does."""
        if len(self._seen) < _MOST:
            self._seen[record.getMessage()] = None
        handlers = list(_iter_handlers(record.name))
        is_taken = any(not isinstance(handler, WarningLog) for handler in handlers)
        if not is_taken and handlers[:1] == [self] and logging.lastResort is not None:
            logging.lastResort.handle(record)

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


def _iter_handlers(name: str) -> Iterator[logging.Handler]:
    """Yield the handlers that get the records of a logger."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None
