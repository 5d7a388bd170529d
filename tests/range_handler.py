"""What the loopback servers have in common: answers to GET, HEAD and requests by ranges."""

import re
from http.server import BaseHTTPRequestHandler


class RangeHandler(BaseHTTPRequestHandler):
    """Has a subclass answer in ``_answer(is_head=...)``."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(is_head=True)

    def do_GET(self):
        self._answer(is_head=False)

    def wanted(self, size):
        """Return the first and the last byte that are asked for, and whether a range is."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return 0, size - 1, False
        return int(asked[1]), min(int(asked[2] or size), size - 1), True

    def say(self, status, body, headers=(), length=None):
        """Send an answer; its length is that of the body unless it is told."""
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass
