"""What stands before a server and misbehaves when told to: a line that is cut, a store that refuses or falls silent,
a broker that forbids.

with Relay(broker.port) as relay, StoreFront(influxdb.port) as front:
    relay.cut()
    front.answer = 400
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.servers import Mosquitto

_SECONDS = 120.0


class Relay:
    """A TCP port in front of another one of this machine, whose connections can be cut."""

    def __init__(self, upstream: int, *, host: str = "127.0.0.1") -> None:
        self._upstream = upstream
        self._listener = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.url = f"mqtt://{host}:{self._listener.getsockname()[1]}"

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close(2) sends RST
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        return len(ends) // 2

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                try:
                    far = socket.create_connection(("127.0.0.1", self._upstream), timeout=_SECONDS)
                except ConnectionRefusedError:  # it is down
                    near.close()
                    continue
                far.settimeout(None)
                with self._lock:
                    self._open += [near, far]
                for source, sink, change in ((near, far, bytes), (far, near, self._answered)):
                    threading.Thread(target=_pump, args=(source, sink, change), daemon=True).start()

    def _answered(self, chunk: bytes) -> bytes:
        """What comes of what the server says."""
        return chunk


def _pump(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65_536):
            sink.sendall(change(chunk))
        sink.shutdown(socket.SHUT_WR)


class Gate:
    """Where requests wait until each is let through, or all are turned away for good. `arrived` counts them."""

    def __init__(self) -> None:
        self.arrived = 0
        self._words: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def let_one_through(self) -> None:
        """The one that has waited longest, or the next."""
        self._words.put(True)

    def shut(self) -> None:
        """Whoever waits, and whoever comes, is turned away."""
        self._words.put(False)

    def enter(self) -> bool:
        """Wait; whether it may pass."""
        self.arrived += 1
        word = self._words.get()
        if not word:
            self.shut()  # for the next
        return word


class Curtailing(Relay):
    """A broker that grants a session for less than is asked, and says so: Mosquitto 2.0 does the first alone."""

    def __init__(self, upstream: int, *, granted_s: int) -> None:
        super().__init__(upstream)
        self._granted_s = granted_s

    def _answered(self, chunk: bytes) -> bytes:
        """CONNACK with one property more. Source: MQTT 5, 3.2.2.3.2."""
        if chunk[0] != 0x20:
            return chunk
        more = b"\x11" + self._granted_s.to_bytes(4, "big")
        length, properties = chunk[1] + len(more), chunk[4] + len(more)
        return bytes([0x20, length, *chunk[2:4], properties]) + more + chunk[5:]


class StoreFront:
    """An HTTP port in front of InfluxDB.

    `answer`: a status that every request gets instead of being passed on, with `retry_after`; None passes on.
    `silent`: requests are passed on, and their answers withheld. `delay_s`: how long each waits before it is passed
    on. `gate`: where each write waits, and is answered 503 once it is shut. `most_bytes`: a longer write is answered
    413. `asked` counts requests to write that were not answered by the
    store. `on_taken` is called with each body that the store has acknowledged, whether or not its answer is passed
    on.
    """

    def __init__(
        self, upstream: int, *, host: str = "127.0.0.1", on_taken: Callable[[bytes], None] = lambda _body: None
    ) -> None:
        self.answer: int | None = None
        self.retry_after = "0"
        self.silent = threading.Event()
        self.delay_s = 0.0
        self.gate: Gate | None = None
        self.most_bytes = 0
        self.asked = 0
        self.on_taken = on_taken
        self._server = _Server((host, 0), _Handler)
        self._server.front, self._server.upstream = self, upstream
        self.url = f"influxdb1+http://{host}:{self._server.server_address[1]}/glomska"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Whoever asked has hung up."""

    front: StoreFront
    upstream: int


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Pass on, refuse, or fall silent."""
        front = self.server.front
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(front.delay_s)
        if (gate := front.gate) is not None and self.path.startswith("/write") and not gate.enter():
            self._reply(http.HTTPStatus.SERVICE_UNAVAILABLE, [], b"")
            return
        if 0 < front.most_bytes < len(body) and self.path.startswith("/write"):
            self._reply(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [], b"")
            return
        if front.answer is not None:
            front.asked += self.path.startswith("/write")
            self._reply(front.answer, [("Retry-After", front.retry_after)], b'{"error":"not now: series=secret"}')
            return
        try:
            status, headers, said = self._passed_on(body)
        except (OSError, http.client.HTTPException):  # the store is down, or went down
            self.close_connection = True
            return
        if status == http.HTTPStatus.NO_CONTENT and self.path.startswith("/write"):
            front.on_taken(body)
        if front.silent.is_set() and self.path.startswith("/write"):
            front.asked += 1
            while self.rfile.read(1):  # until the gateway hangs up
                pass
            self.close_connection = True
            return
        self._reply(status, headers, said)

    do_GET = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=_SECONDS)
        kept = {key: value for key, value in self.headers.items() if key.lower() == "content-type"}
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, body, kept)
            answer = upstream.getresponse()
            named = [(k, v) for k, v in answer.getheaders() if k.lower().startswith("x-influxdb")]
            return answer.status, named, answer.read()

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != http.HTTPStatus.NO_CONTENT:
            self.wfile.write(body)


class Guarded(Mosquitto):
    """Lets everyone in and forbids every subscription, but those that are named."""

    def __init__(self, *, allowed: Sequence[str] = ()) -> None:
        super().__init__()
        self._allowed = allowed

    def arguments(self) -> list[str]:
        arguments = super().arguments()
        access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
        rules = [{"acltype": "subscribeLiteral", "topic": topic, "allow": True} for topic in self._allowed]
        everybody = {"groupname": "all", "roles": [{"rolename": "reader"}]}
        document = {
            "defaultACLAccess": access,
            "roles": [{"rolename": "reader", "acls": rules}],
            "groups": [everybody],
            "anonymousGroup": "all",
        }
        (self.directory / "acl.json").write_text(json.dumps(document))
        (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
        with (self.directory / "mosquitto.conf").open("a") as configuration:
            configuration.write(f"plugin {plugin}\nplugin_opt_config_file {self.directory}/acl.json\n")
        return arguments
