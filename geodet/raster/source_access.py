"""Access to the GDAL handles of a raster, with time limits; GDAL's warnings are logged."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import rasterio
from rasterio.errors import RasterioError

from geodet.config.reading_config import ReadingConfig
from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.raster.gdal_messages import GdalListener
from geodet.raster.gdal_options import forget_remote_files, gdal_options
from geodet.raster.linked_files import is_remote
from geodet.raster.remote import RemoteCalls, find_server_error
from geodet.raster.source import Source, open_source

__all__ = ["SourceAccess"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class SourceAccess(Closing):
    """The handles of a raster, local or remote.

    Args:
        path: The raster.
        limits: How long a server may take, and how often it is asked again.
        as_stored: Whether to read the pixels as they are stored, neither turned nor warped.
    """

    def __init__(self, path: str, limits: ReadingConfig, *, as_stored: bool = False) -> None:
        self._path = path
        self._options = gdal_options(path, limits)
        self._calls = RemoteCalls(path, limits) if is_remote(path) else None
        self._pool = _SourcePool(path, as_stored=as_stored, limits=limits)
        self._listener = GdalListener(logging.WARNING if self._calls is None else logging.DEBUG)
        self._passed_on: set[str] = set()

    @property
    def is_remote(self) -> bool:
        """Whether the raster is read over a network."""
        return self._calls is not None

    def call(self, function: Callable[[], _T], what: str) -> _T:
        """Call a function that uses handles.

        For a remote raster it is called in a thread, so that the caller can be interrupted, and
        repeated after temporary failures of the server.

        Args:
            function: May borrow handles.
            what: What the function does, for messages, such as "open a.tif".

        Raises:
            SceneError: The server of a remote raster has failed too often, or for too long.
        """
        return function() if self._calls is None else self._calls.call(function, what)

    @contextlib.contextmanager
    def lend(self) -> Iterator[Source]:
        """Yield a handle for a ``with`` block, with GDAL's options, and log GDAL's warnings.

        Raises:
            SceneError: The raster cannot be opened.
            ServerError: Its server has failed.
        """
        with rasterio.Env(**self._options), self._listener.collect() as records:
            try:
                with self._pool.lend() as source:
                    yield source
            except (RasterioError, SceneError) as error:
                found = None if self._calls is None else find_server_error(records)
                if found is None:
                    raise
                forget_remote_files()
                raise found from error
            finally:
                self._pass_on([one for one in records if one.levelno == logging.WARNING])

    def abandon(self) -> None:
        """End calls that wait for a server with an error; those of local files go on."""
        if self._calls is not None:
            self._calls.abandon()

    def close(self) -> None:
        """Close all handles."""
        self._pool.close()
        self._listener.close()

    def _pass_on(self, warnings: list[logging.LogRecord]) -> None:
        """Log each warning once; those that differ only in numbers count as one."""
        for record in warnings:
            text = record.getMessage()
            kind = re.sub(r"\d+", "0", text)
            if kind not in self._passed_on:
                self._passed_on.add(kind)
                logger.warning("%s: GDAL warns: %s", Path(self._path).name, text)


class _SourcePool(Closing):
    """Open handles of one raster, lent to one thread at a time.

    GDAL handles may be used by any thread, but by no two at once. A handle is opened only where all
    others are in use: a raster that one thread reads is opened once, whichever thread that is.

    Args:
        path: The raster.
        as_stored: Whether to read the pixels as they are stored, neither turned nor warped.
        limits: How long a server may take.
    """

    def __init__(
        self, path: str, *, as_stored: bool = False, limits: ReadingConfig | None = None
    ) -> None:
        self.path = path
        self._as_stored, self._limits = as_stored, limits
        self._idle: list[Source] = []
        self._is_closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[Source]:
        """Yield a handle for the duration of a ``with`` block.

        A handle whose reading fails is closed: that of a mosaic would from then on return zeros in
        place of the file that it could not open.

        Raises:
            SceneError: The raster cannot be opened.
        """
        try:
            source = self._idle.pop()
        except IndexError:
            source = open_source(self.path, as_stored=self._as_stored, limits=self._limits)
        try:
            yield source
        except BaseException:
            source.close()
            raise
        self._idle.append(source)
        if self._is_closed:
            self.close()

    def close(self) -> None:
        """Close the handles; one that is lent out is closed when it comes back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
