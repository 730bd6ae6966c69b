"""A request ends, whatever the server does: also one whose answer trickles, so that no wait for bytes is too long."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from gateway.transport.influx1 import Influx1Store
from gateway.transport.influx2 import Influx2Store
from gateway.transport.store import Login, Store, StoreUnreachable
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
