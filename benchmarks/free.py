"""A store that costs next to nothing, to see what a gateway costs alone: `python -m benchmarks.free --port N`.

Speaks as much HTTP as a writer asks of InfluxDB 1.x: every POST is answered 204 once its body has come; its lines are
counted and let go. `GET /count` tells how many there were.
"""

from __future__ import annotations

import argparse
import sys
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from benchmarks.servers import Server, http


class FreeStore(Server):
    """The same as a server of the rig."""

    program: ClassVar[str] = "free-store"
    package: ClassVar[str] = ""

    @property
    def http_url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def arguments(self) -> list[str]:
        """This module."""
        return ["-m", "benchmarks.free", "--port", str(self.port)]

    def answers(self) -> bool:
        """`/count` is answered."""
        try:
            http(f"{self.http_url}/count", timeout=1)
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _binary(self) -> str:
        return sys.executable


class _Counting(ThreadingHTTPServer):
    daemon_threads = True
    lines = 0  # one writer at a time: the gateway has one


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Counting

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.lines += body.count(b"\n") + (not body.endswith(b"\n"))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        said = str(self.server.lines).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Say nothing."""


def main() -> None:
    """Until SIGTERM."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.free")
    options.add_argument("--port", type=int, required=True)
    _Counting(("127.0.0.1", options.parse_args().port), _Handler).serve_forever()


if __name__ == "__main__":
    main()
