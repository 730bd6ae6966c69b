"""Whatever a server answers, an answer takes no more memory than it is worth, and a short one leaves the line open."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from gateway.transport import pools
from gateway.transport.influx1 import Influx1Store
from gateway.transport.influx2 import Influx2Store
from gateway.transport.store import Login, Store, StoreUnreachable
from gateway.transport.victoria import VictoriaStore
from tests.unit.transport.answers import SENTINEL, answering, number, point

MB = 1 << 20
MUCH, BOUND = 96 * MB, 24 * MB
FLAGS = b'flag{name="retentionPeriod", value="60d"}\nflag{name="dedup.minScrapeInterval", value="1ms"}\n'


def unpacking_to(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


BOMB = unpacking_to(MUCH)
PACKED = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
HEADS = {
    "packed": (PACKED, [BOMB]),
    "endless": (b"\r\n", [b"x" * MB] * (MUCH // MB)),
    "chunked": (b"Transfer-Encoding: chunked\r\n\r\n", [b"%x\r\n%b\r\n" % (MB, b"x" * MB)] * (MUCH // MB)),
    "one chunk": (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % MUCH, [b"x" * MB] * (MUCH // MB)),
    "length of a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", [b"0" * MB] * (MUCH // MB)),
    "redirected": (b"Location: http://127.0.0.1:9/\r\n\r\n", [b"x" * MB] * (MUCH // MB)),
}


@contextmanager
def pouring(status: int, head: bytes, parts: list[bytes]) -> Iterator[str]:
    """URL of a server that answers so, as much as is taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError):
                        asked = client.recv(65_536)
                        if asked.startswith(b"GET /metrics"):
                            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(FLAGS), FLAGS))
                            client.recv(65_536)
                        client.sendall(b"HTTP/1.1 %d So\r\n%b" % (status, head))
                        for part in parts:
                            client.sendall(part)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def influx1(url: str) -> Store:
    return Influx1Store(url, database="d")


def influx2(url: str) -> Store:
    return Influx2Store(url, organisation="o", bucket="b", login=Login(token=b"t"))


def victoria(url: str) -> Store:
    return VictoriaStore(url)


STORES = pytest.mark.parametrize("opened", [influx1, influx2, victoria])


def peak_of(act: Callable[[], object]) -> int:
    """Bytes that Python and what it is made of held at once."""
    tracemalloc.start()
    try:
        with pytest.raises(StoreUnreachable) as fault:
            act()
        assert SENTINEL not in str(fault.value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@STORES
@pytest.mark.parametrize("kind", HEADS)
def test_a_fault_of_any_length_takes_little_memory(opened: Callable[[str], Store], kind: str) -> None:
    status = 307 if kind == "redirected" else 503
    with pouring(status, *HEADS[kind]) as url, closing(opened(url)) as store:
        one = number(time.time_ns()) if opened is victoria else point()
        assert peak_of(lambda: store.write([one])) < BOUND
        assert peak_of(lambda: list(store.query("telemetry", [SENTINEL], 0, 2**62))) < BOUND


@STORES
@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind != "redirected"])
def test_nor_does_a_success_that_no_store_has(
    opened: Callable[[str], Store], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "LINE_BYTES", 8 * MB)
    with pouring(200, *HEADS[kind]) as url, closing(opened(url)) as store:
        one = number(time.time_ns()) if opened is victoria else point()
        assert peak_of(lambda: store.write([one])) < BOUND
        assert peak_of(lambda: list(store.query("telemetry", [SENTINEL], 0, 2**62))) < BOUND
        assert peak_of(lambda: store.delete(["telemetry"], [SENTINEL])) < BOUND


@pytest.mark.parametrize("said", [b"\xff\xfe", "för mycket".encode("latin-1"), BOMB[:4000]])
def test_a_fault_that_is_no_text_is_a_fault_of_its_status(said: bytes) -> None:
    with answering(503, said, Retry_After="7") as url, closing(influx2(url)) as store:
        with pytest.raises(StoreUnreachable, match="answers 503") as fault:
            store.write([point()])
        assert fault.value.retry_after == 7.0


@pytest.mark.parametrize("opened", [influx1, influx2])
@pytest.mark.parametrize("status", [204, 503, 413])
def test_after_a_short_answer_the_next_request_goes_by_the_same_connection(
    opened: Callable[[str], Store], status: int
) -> None:
    ports: set[int] = set()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, (_, port) = server.accept()
                    ports.add(port)
                    with client:
                        while client.recv(65_536):
                            length = b"" if status == 204 else b"Content-Length: 4\r\n\r\nbusy"
                            client.sendall(b"HTTP/1.1 %d So\r\n%b" % (status, length or b"\r\n"))

        threading.Thread(target=serve, daemon=True).start()
        with closing(opened(f"http://127.0.0.1:{server.getsockname()[1]}")) as store:
            for k in range(5):
                with contextlib.suppress(StoreUnreachable):
                    store.write([point(k), point(k + 1)])
    assert len(ports) == 1


def test_lines_come_whole_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    said = b'{"results":[{"series":[{"name":"databases","columns":["name"],"values":[["d"]]}]}]}'
    monkeypatch.setattr(pools, "_PART", 7)
    for body in (said, said + b"\n", said + b"\n" + said + b"\n", b"\n".join([said] * 50)):
        with answering(200, body) as url, closing(Influx1Store(url, database="d")) as store:
            found = list(store._influxql.ask("SHOW DATABASES"))
            assert [rows.values for rows in found] == [[["d"]]] * max(1, body.count(said))
