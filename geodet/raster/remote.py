"""Read over a network: limited in time, repeated after temporary failures, and interruptible.

GDAL waits for a server inside of C code, where neither a time limit of ours nor Ctrl-C reaches it.
So what may wait for a server runs in a thread of its own, which is left behind when the time is
over or the caller is interrupted. GDAL's own limits end such a thread some seconds later.
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NoReturn, TypeVar

from geodet.config.reading_config import ReadingConfig
from geodet.errors import SceneError

__all__ = ["THREAD_NAME", "RemoteCalls", "ServerError", "access_hint", "find_server_error"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

THREAD_NAME = "geodet-remote"
"""Name of the threads that wait for servers."""

# A debug message of each answer, or an error that repeats what is known of an earlier one.
_RESPONSE = re.compile(
    r"response[_ ]code(?: on \S+)?[=:] *(\d+)(?:.*?msg=(.*))?|CURL error: (.*)",
    re.DOTALL | re.IGNORECASE,
)
_NO_PARTS = "Range downloading not supported"  # GDAL's words, before a less clear message
_AGAIN = {408, 425, 429}  # statuses below 500 that a later request may not get


class ServerError(OSError):
    """A server gave no answer, or an unusable one.

    Args:
        status: The HTTP status; 0 where there was no answer, 2xx where it was cut off.
        text: The message of GDAL.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self._sends_parts = _NO_PARTS not in text
        super().__init__(_describe(status, text))

    @property
    def is_transient(self) -> bool:
        """Whether another attempt may succeed."""
        if not self._sends_parts:
            return False
        return self.status < 400 or self.status >= 500 or self.status in _AGAIN

    def hint(self, path: str) -> str:
        """Return the hint: what the user can do."""
        if not self._sends_parts:
            return "download the file first, or put it on a server that answers range requests"
        if self.status in (401, 403):
            return access_hint(path)
        if self.status == 429:
            return "the server limits the rate of requests: use fewer threads (--workers 1), \
or raise detect.retries and detect.retry_delay"
        if not self.is_transient:
            return access_hint(path)
        if self.status >= 500:
            return "the server has a problem: run the command again later, or raise detect.retries"
        return "run the command again when the connection is better, raise detect.stall_timeout, \
detect.request_timeout or detect.retries, or download the file first"


def _describe(status: int, text: str) -> str:
    if _NO_PARTS in text:
        return f"the server does not send parts of files ({text})"
    if status >= 300:
        return f"HTTP status {status}"
    if "missing" in text:
        return f"the server broke off its answer ({text})"
    if "timed out" in text or "too slow" in text:
        return f"the server stalled ({text})"
    return f"no answer from the server ({text})"


def access_hint(path: str) -> str:
    """Return how to gain access to a remote raster."""
    if path.startswith(("s3://", "/vsis3/")):
        return (
            "check the address; GDAL signs in with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            "AWS_PROFILE; for public data set AWS_NO_SIGN_REQUEST=YES"
        )
    return "check the address and your access; GDAL takes credentials from the environment"


def find_server_error(messages: Sequence[logging.LogRecord]) -> ServerError | None:
    """Find the last server error in GDAL's messages; None where there was none."""
    if any(_NO_PARTS in record.getMessage() for record in messages):
        return ServerError(200, _NO_PARTS)
    for record in reversed(messages):
        found = _RESPONSE.search(record.getMessage())
        if found is None:
            continue
        status, text = int(found[1] or 0), (found[2] or found[3] or "").strip(" '")
        if status >= 400 or text:
            return ServerError(status, text)
    return None


class RemoteCalls:
    """Calls functions that read over a network.

    Args:
        path: The raster.
        limits: How long a call may take, and how often it is repeated.
    """

    def __init__(self, path: str, limits: ReadingConfig) -> None:
        self._path, self._limits = path, limits
        self._end: Future[None] = Future()

    def call(self, function: Callable[[], _T], what: str) -> _T:
        """Call a function, repeat it after temporary failures of its server, and return its result.

        Args:
            function: Raises :class:`ServerError` where the server fails.
            what: What the function does, for messages, such as "open a.tif".

        Raises:
            SceneError: The server has failed too often, or for too long, or :meth:`abandon` was
                called.
        """
        began, end = time.monotonic(), self._end
        until = began + self._limits.read_timeout
        for tries in itertools.count(1):
            try:
                return self._call_once(function, what, end, until)
            except ServerError as error:
                pause = self._limits.retry_delay * 2.0 ** (tries - 1)
                is_last = tries > self._limits.retries or time.monotonic() + pause >= until
                if is_last or not error.is_transient:
                    spent = time.monotonic() - began
                    tried = f"; tried {tries} times in {spent:.1f} s" if tries > 1 else ""
                    raise SceneError(
                        f"cannot {what}: {error}{tried}",
                        hint=error.hint(self._path),
                        path=self._path,
                    ) from error
                logger.info("cannot %s: %s; trying again in %.1f s", what, error, pause)
            if wait([end], timeout=pause).done:
                self._raise_abandoned(what)
        raise AssertionError

    def abandon(self) -> None:
        """End calls in progress with an error, without waiting for their servers."""
        end, self._end = self._end, Future()
        end.set_result(None)

    def _call_once(
        self, function: Callable[[], _T], what: str, end: Future[None], until: float
    ) -> _T:
        result: Future[_T] = Future()
        thread = threading.Thread(
            target=_run, args=(function, result), name=THREAD_NAME, daemon=True
        )
        thread.start()
        awaited: list[Future[Any]] = [result, end]
        wait(awaited, until - time.monotonic(), FIRST_COMPLETED)
        if result.done():
            return result.result()
        if end.done():
            self._raise_abandoned(what)
        raise SceneError(
            f"cannot {what}: no complete answer within {self._limits.read_timeout:g} s",
            hint="run the command again when the connection is better, raise detect.read_timeout, "
            "or download the file first",
            path=self._path,
        ) from TimeoutError()

    def _raise_abandoned(self, what: str) -> NoReturn:
        raise SceneError(
            f"cannot {what}: it was interrupted", hint="run the command again", path=self._path
        )


def _run(function: Callable[[], _T], result: Future[_T]) -> None:
    try:
        value = function()
    except BaseException as error:
        result.set_exception(error)
    else:
        result.set_result(value)
