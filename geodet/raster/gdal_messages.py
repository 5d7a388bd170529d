"""Collect GDAL's warnings and debug messages, which rasterio passes on only to its loggers."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator

from geodet.files.closable import Closing

__all__ = ["GdalListener"]

_LOGGERS = tuple(map(logging.getLogger, ("rasterio._env", "rasterio._err")))
_PREFIX = re.compile(r"^CPLE_\w+ in ")  # rasterio's name of GDAL's error number


class GdalListener(Closing):
    """Collects GDAL's messages until it is closed; then rasterio's loggers are as they were.

    Args:
        level: The lowest level to collect: ``logging.WARNING``, or ``logging.DEBUG`` with the
            messages that GDAL's option ``CPL_DEBUG`` asks for.
    """

    def __init__(self, level: int = logging.WARNING) -> None:
        self._level: int | None = level
        _filter.attach(level)

    @contextlib.contextmanager
    def collect(self) -> Iterator[list[logging.LogRecord]]:
        """Yield a list that GDAL's messages in this thread are added to.

        Warnings are not logged by rasterio meanwhile: the caller decides what becomes of them.
        """
        thread, records = threading.get_ident(), list[logging.LogRecord]()
        before = _filter.collected.get(thread)
        _filter.collected[thread] = records
        try:
            yield records
        finally:
            if before is None:
                del _filter.collected[thread]
            else:
                _filter.collected[thread] = before

    def close(self) -> None:
        """Stop listening."""
        if self._level is not None:
            _filter.detach(self._level)
            self._level = None


class _MessageFilter(logging.Filter):
    """A filter of rasterio's loggers that notes records, and lets through those of their level."""

    def __init__(self) -> None:
        super().__init__()
        self.collected: dict[int, list[logging.LogRecord]] = {}
        self._lock = threading.Lock()
        self._levels: list[int] = []
        self._before: dict[str, int] = {}

    def attach(self, level: int) -> None:
        with self._lock:
            if not self._levels:
                self._before = {logger.name: logger.level for logger in _LOGGERS}
                for logger in _LOGGERS:
                    logger.addFilter(self)
            self._levels.append(level)
            self._set_levels()

    def detach(self, level: int) -> None:
        with self._lock:
            self._levels.remove(level)
            if not self._levels:
                for logger in _LOGGERS:
                    logger.removeFilter(self)
            self._set_levels()

    def filter(self, record: logging.LogRecord) -> bool:
        records = self.collected.get(threading.get_ident())
        if records is not None:
            record.msg, record.args = _PREFIX.sub("", record.getMessage()), None
            records.append(record)
            if record.levelno == logging.WARNING:
                return False
        return record.levelno >= self._own_level(logging.getLogger(record.name))

    def _own_level(self, logger: logging.Logger) -> int:
        """Return the level that a logger has without this filter."""
        before = self._before.get(logger.name, logging.NOTSET)
        return before or (logger.parent.getEffectiveLevel() if logger.parent else logging.WARNING)

    def _set_levels(self) -> None:
        for logger in _LOGGERS:
            own = self._before[logger.name]
            wished = min([*self._levels, self._own_level(logger)]) if self._levels else own
            if logger.level != wished:
                logger.setLevel(wished)


_filter = _MessageFilter()
