"""A loopback server of files, asked by ranges, that fails as real ones do."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import ThreadingHTTPServer

from range_handler import RangeHandler

IN_BODY = ("stall-body", "truncate", "drip")
"""Faults that an answer without a body cannot have."""

DRIP_SECONDS = 0.1
"""Time between the bytes of a server that drips."""


@dataclass
class Fault:
    """What is wrong with the answers of a server."""

    kind: str
    """``stall`` (no answer), ``stall-body`` (half of one), ``drop`` (a reset instead of an answer),
    ``truncate`` (half of a body, then the end), ``delay`` (``seconds`` before an answer), ``drip``
    (a byte at a time), ``whole`` (the whole file in place of a part), or a status such as
    ``503``."""
    first_byte: int = 0
    """Requests for bytes before this one are answered as they should be."""
    times: int = 10**9
    """Answers that fail; later ones do not."""
    seconds: float = 0.0
    """Of a delay."""


class RemoteServer(ThreadingHTTPServer):
    """Serves the files of a folder by ranges, and keeps a list of what was asked for.

    ``fault`` may be set at any time; ``is_struck`` is an event that is set when an answer has begun
    to fail.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Ranges)
        self.folder, self.asked, self.fault = folder, [], None
        self.lock, self.is_struck, self.is_closing = (
            threading.Lock(),
            threading.Event(),
            threading.Event(),
        )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def sent(self):
        """Bytes sent so far."""
        return sum(size for *_, size in self.asked)

    def take_fault(self, first, *, is_head):
        """Return the fault of an answer that begins at a byte, None where it is as it should be."""
        with self.lock:
            fault = self.fault
            if fault is None or first < fault.first_byte or fault.times <= 0:
                return None
            if is_head and fault.kind in IN_BODY:
                return None
            fault.times -= 1
            return fault

    def handle_error(self, request, client_address):
        pass  # a client that left


class _Ranges(RangeHandler):
    def _answer(self, *, is_head):
        file = self.server.folder / self.path.partition("?")[0].lstrip("/")
        if not file.is_file():
            return self._say(404, b"")
        content = file.read_bytes()
        headers = {"Accept-Ranges": "bytes"}
        first, last, is_part = self.wanted(len(content))
        if is_part:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        body = content[first : last + 1]
        fault = self.server.take_fault(first, is_head=is_head)
        if fault is not None and fault.kind == "whole":
            return self._say(200, b"" if is_head else content, length=len(content))
        if fault is not None and not self._fail(fault, headers, body):
            return None
        return self._say(206 if is_part else 200, b"" if is_head else body, headers, len(body))

    def _fail(self, fault, headers, body):
        """Fail as a fault says; return whether to answer nevertheless."""
        self.server.is_struck.set()
        pause = self.server.is_closing.wait
        if fault.kind.isdecimal():
            self._say(int(fault.kind), b"")
        elif fault.kind == "delay":
            pause(fault.seconds)
            return True
        elif fault.kind == "stall":
            pause(600)
        elif fault.kind == "drop":
            self._drop()
        else:
            half = body[: len(body) // 2]
            self._say(206, half if fault.kind != "drip" else b"", headers, len(body))
            if fault.kind == "stall-body":
                pause(600)
            elif fault.kind == "drip":
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    if pause(DRIP_SECONDS):
                        break
        self.close_connection = True
        return False

    def _drop(self):
        """Close the connection with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _say(self, status, body, headers=(), length=None):
        with self.server.lock:
            self.server.asked.append((self.command, self.path, status, len(body)))
        self.say(status, body, headers, length)


@contextlib.contextmanager
def serving(folder):
    """Yield a server of the files of a folder."""
    with RemoteServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.is_closing.set()
            server.shutdown()
            thread.join()
