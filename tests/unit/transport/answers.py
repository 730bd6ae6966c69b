"""A server that gives one answer to everything, and points to write to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import SealedPoint, Series

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
SENTINEL = "aaaaaaaabbbbbbbbccccccccdd"
random_ = random.Random(1)


def point(time: int = 1, pseudonym: str = SENTINEL, field: str = "s_1d", size: int = 40) -> SealedPoint:
    series = Series("telemetry", Pseudonym(pseudonym), "SE3", KeyId(b""))
    return SealedPoint(series, time, field, "AQE" + "".join(random_.choices(BASE32, k=size)))


def new_pseudonym() -> str:
    return "".join(random_.choices(BASE32, k=26))


def number(time: int, pseudonym: str = SENTINEL, value: float = 81.0) -> SealedPoint:
    series = Series("telemetry", Pseudonym(pseudonym), "SE3", KeyId(b""))
    return SealedPoint(series, time, "", "", (("battery", value),))


@contextmanager
def answering(
    status: int,
    body: bytes = b"",
    *,
    says: int | None = None,
    by_path: Mapping[bytes, bytes] | None = None,
    otherwise: int = 0,
    **headers: str,
) -> Iterator[str]:
    """URL of a server that gives one answer to everything; `says`: the length that it claims.

    `by_path`: other bodies for paths that begin so; with `otherwise` all other paths are answered with that status.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            special = next(
                (said for path, said in (by_path or {}).items() if self.path.encode().startswith(path)), None
            )
            given = body if special is None else special
            self.send_response(otherwise if otherwise and special is None else status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(given) if says is None else says))
            self.end_headers()
            self.wfile.write(given)
            self.close_connection = says is not None

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
            """Tests say what they found by themselves."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
