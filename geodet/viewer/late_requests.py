"""Answers the page while the objects that it shows are still being read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Timer
from urllib.parse import urlsplit

from geodet.viewer.map_requests import Answer, MapRequests, guarded, read_page_file

__all__ = ["LateRequests"]

_TOLD = 2.0  # seconds after a failure, within which the page shows what is wrong


class LateRequests:
    """Sends the files of the page at once, and all else when the objects are read.

    So the browser starts while a million objects are read.

    Args:
        found: What answers then.
    """

    def __init__(self, found: Future[MapRequests]) -> None:
        self._found = found

    def answer(self, address: str) -> Answer:
        """Return the answer to an address, without the token that it begins with."""
        if file := read_page_file(urlsplit(address).path):
            return file
        return guarded(lambda: self._found.result().answer(address))

    def receive(self, address: str, content: bytes) -> Answer:
        """Run the action that the page requests."""
        return guarded(lambda: self._found.result().receive(address, content))

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the objects are read.

        Args:
            seconds: At most so long; None: as long as it takes.

        Raises:
            GeodetError: Reading failed.
        """
        try:
            self._found.result(seconds)
        except TimeoutError:
            if self._found.done():
                raise

    def stop_when_failed(self, stop: Callable[[], None]) -> None:
        """Call a function when reading has failed and the page had time to show why."""

        def check(found: Future[MapRequests]) -> None:
            if found.exception() is not None:
                timer = Timer(_TOLD, stop)
                timer.daemon = True
                timer.start()

        self._found.add_done_callback(check)
