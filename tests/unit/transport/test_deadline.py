"""A request ends, whatever the server does: also one whose answer trickles, so that no wait for bytes is too long."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from gateway.transport.influx1 import Influx1Store
from gateway.transport.influx2 import Influx2Store
from gateway.transport.store import REQUEST_WAITS, Login, Store, StoreUnreachable
from tests.unit.transport.answers import point

TIMEOUT_S = 0.3


@contextmanager
def trickling() -> Iterator[tuple[str, threading.Event]]:
    """URL of a server that answers a byte at a time, for ever, and whether somebody hung up on it."""
    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while not left.is_set():
                    client, _ = server.accept()
                    with client:
                        trickle(client)
            except OSError:
                pass

        def trickle(client: socket.socket) -> None:
            try:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 ")
                while not left.wait(TIMEOUT_S / 10):
                    client.sendall(b"x")
            except OSError:
                left.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", left
        left.set()


def influx1(url: str) -> Store:
    return Influx1Store(url, database="d", timeout_s=TIMEOUT_S)


def influx2(url: str) -> Store:
    return Influx2Store(url, organisation="o", bucket="b", login=Login(token=b"t"), timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("opened", [influx1, influx2])
def test_an_answer_that_trickles_is_hung_up_on(opened: type[Store]) -> None:
    with trickling() as (url, left), closing(opened(url)) as store:  # type: ignore[call-arg]
        with pytest.raises(StoreUnreachable, match="does not answer"):
            store.write([point()])
        assert left.wait(30), "nobody hung up"


@contextmanager
def deaf(hosts: list[str], port: int) -> Iterator[None]:
    """Addresses where connecting is never answered: their queues are full."""
    with ExitStack() as opened:
        for host in hosts:
            listener = opened.enter_context(socket.socket())
            listener.bind((host, port))
            listener.listen(0)
            for _ in range(3):
                client = opened.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex((host, port))
        yield


@pytest.mark.parametrize("opened", [influx1, influx2])
def test_nothing_is_sent_when_connecting_took_all_the_time(
    opened: type[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of many addresses of which only the last answers: each has the time-out to itself."""
    hosts = [f"127.0.0.{number}" for number in range(2, 3 + REQUEST_WAITS)]

    def resolved(_host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in (*hosts, "127.0.0.1")]

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with deaf(hosts, port), closing(opened(f"http://store.example:{port}")) as store:  # type: ignore[call-arg]
            monkeypatch.setattr(socket, "getaddrinfo", resolved)
            with pytest.raises(StoreUnreachable, match="does not answer"):
                store.write([point()])
        client, _ = server.accept()
        with client:
            assert client.recv(65_536) == b""
