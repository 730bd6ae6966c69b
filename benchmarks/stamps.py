"""A proxy in front of a store that stamps when each point was stored, for latency from publish to stored.

Everything passes unchanged. When the store has answered a write with success, the wall time is noted for the time stamp
at the end of each line: the event time, which the publisher set to the moment of publishing. Used at low rates only.
"""

from __future__ import annotations

import gzip
import http.client
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_NANOSECONDS = {"": 1, "n": 1, "ns": 1, "u": 1000, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000}
_OWN_HEADERS = {"connection", "content-length", "date", "server", "transfer-encoding"}


class StampingProxy:
    """Listens on `port` of loopback and passes on to `upstream`, another port."""

    def __init__(self, upstream: int) -> None:
        """Listens, but answers only inside `with`."""
        self.stored_ns: dict[int, int] = {}
        """Event time in ns -> first wall time in ns at which the store had confirmed it."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream, self._server.stored_ns = upstream, self.stored_ns
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def latencies_ms(self) -> list[float]:
        """Milliseconds from publish to stored, ascending."""
        return sorted((stored - event) / 1e6 for event, stored in list(self.stored_ns.items()))

    def __enter__(self) -> Self:
        """Answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    upstream: int
    stored_ns: dict[int, int]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a store that is down is the pipeline's to notice."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _pass(self) -> None:
        body = self._body()
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS}
        self._upstream.request(self.command, self.path, body, kept)
        answer = self._upstream.getresponse()
        content = answer.read()
        if answer.status < 300:
            self._stamp(body, time.time_ns())
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        if answer.status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(parts)

    do_GET = do_POST = do_HEAD = _pass  # noqa: N815 - names that http.server looks for

    def _stamp(self, body: bytes, now: int) -> None:
        target = urllib.parse.urlsplit(self.path)
        if not target.path.endswith("/write"):
            return
        precision = dict(urllib.parse.parse_qsl(target.query)).get("precision", "")
        lines = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        for line in lines.splitlines():
            self.server.stored_ns.setdefault(int(line.rpartition(b" ")[2]) * _NANOSECONDS[precision], now)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Say nothing."""
