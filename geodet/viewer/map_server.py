"""A server for one page on this machine, which nobody else reaches."""

from __future__ import annotations

import errno
import hmac
import logging
import secrets
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from geodet.errors import ConfigError
from geodet.viewer.late_requests import LateRequests
from geodet.viewer.map_requests import Answer, MapRequests

__all__ = ["HOST", "MapServer"]

HOST = "127.0.0.1"
"""The only address that is listened to."""

logger = logging.getLogger(__name__)

_MOST_BYTES = 2**16  # of a request
_USUAL_PORT = 80  # of http, which browsers leave out
_TOO_LARGE = Answer(413, "text/plain", b"the request is too large")
_FORBIDDEN = Answer(403, "text/plain", b"open the address that geodet view printed")


class MapServer(ThreadingHTTPServer):
    """Serves the page under an address that holds a random token.

    Other users and programs of this machine do not know the token. A page of another site that
    finds the port is refused by the name of the host, which guards against DNS rebinding, and reads
    nothing, since no header of CORS is sent.

    Args:
        requests: Answers what is asked for.
        port: 0: a free one.
        base_map: Address of the tiles of a base map, which the page may load; empty: none.

    Raises:
        ConfigError: The port is in use.
    """

    daemon_threads = True

    def __init__(
        self, requests: MapRequests | LateRequests, *, port: int = 0, base_map: str = ""
    ) -> None:
        self.requests = requests
        self._token = secrets.token_urlsafe(24)
        self._policy = _content_policy(base_map)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise ConfigError(
                f"port {port} of {HOST} cannot be used: {error.strerror}",
                hint="choose another --port, or leave it out for a free one",
            ) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a defect; a browser that left is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """The address to open."""
        return f"http://{HOST}:{self.server_port}/{self._token}/"

    @property
    def headers(self) -> dict[str, str]:
        """Headers of each answer."""
        return {
            "Content-Security-Policy": self._policy,
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def is_own(self, host: str | None) -> bool:
        """Whether a request names this machine as its host."""
        ends = [f":{self.server_port}"]
        if self.server_port == _USUAL_PORT:
            ends.append("")
        return host in [f"{name}{end}" for name in (HOST, "localhost") for end in ends]

    def address_within(self, target: str) -> str | None:
        """Return an address without its token; None if that is another one."""
        token, slash, rest = target.removeprefix("/").partition("/")
        is_right = hmac.compare_digest(token.encode(), self._token.encode())
        return rest if is_right and slash else None


def _content_policy(base_map: str) -> str:
    """Return what the page may load: its own files, and the tiles of a base map."""
    parts = urlsplit(base_map)
    also = f" {parts.scheme}://{parts.netloc}" if base_map else ""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self' blob:",
            "style-src 'self'",
            f"img-src 'self' data: blob:{also}",
            f"connect-src 'self'{also}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: MapServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "geodet", ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer a request for an address."""
        self._send(self._checked(self.server.requests.answer))

    def do_POST(self) -> None:
        """Carry out a request of the page itself."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            self.close_connection = True
            self._send(_TOO_LARGE)
            return
        # Read even if it is refused: what is left would be taken for the next request.
        content = self.rfile.read(int(length))
        self._send(self._checked(lambda address: self._receive(address, content)))

    def _receive(self, address: str, content: bytes) -> Answer:
        """Check a request; other sites cannot send JSON without asking, which is never allowed."""
        origin = self.headers.get("Origin")
        is_json = self.headers.get_content_type() == "application/json"
        if not is_json or (origin and not self.server.is_own(urlsplit(origin).netloc)):
            return _FORBIDDEN
        return self.server.requests.receive(address, content)

    def log_message(self, format: str, *args: object) -> None:
        """Log requests at the level of debugging, not on stderr."""
        logger.debug(format, *args)

    def _checked(self, respond: Callable[[str], Answer]) -> Answer:
        rest = self.server.address_within(self.path)
        if rest is None or not self.server.is_own(self.headers.get("Host")):
            return _FORBIDDEN
        return respond(rest)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.content)
