"""Publish at QoS 1 over persistent sessions, and count what the broker has acknowledged.

Devices are spread over the connections, those behind one hub together, so that each device's messages keep their
order and a hub's come over one session. One thread
serves all connections: it needs no locks, and hands messages on by the window instead of one by one.

A message counts when its PUBACK is here. `publish` returns when everything is acknowledged, or when `stop` is set and
what was under way is acknowledged or late.

    tally = publish(messages, Broker.at("mqtt://127.0.0.1:1883"), connections=4)
"""

from __future__ import annotations

import select
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence

from firmware_sim.connection import Broker, Connection
from firmware_sim.errors import Unreachable
from firmware_sim.fleet import Message
from firmware_sim.tally import Tally

PATIENCE = 30.0  # seconds without any answer to something that waits for one
FAREWELL = 5.0  # seconds for what is in flight when stopped
TICK = 0.1  # seconds between progress, keep-alive and looks at `stop`


def publish(
    messages: Iterable[Message],
    broker: Broker,
    *,
    connections: int = 1,
    client_id: str = "firmware-sim",
    rate: float = 0.0,
    live: bool = False,
    patience: float = PATIENCE,
    stop: threading.Event | None = None,
    tally: Tally | None = None,
    on_progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Publish all `messages`; the tally, which is `tally` when one is given, so that it survives an exception.

    `rate`: messages a second, 0: as fast as the broker takes them; `live`: each at its event time instead.
    `client_id` gets the connection's number behind it and must be this fleet's alone. Raises Unreachable: no broker at
    the start, or none that acknowledges anything for `patience` seconds.
    """
    tally = Tally() if tally is None else tally
    stop = threading.Event() if stop is None else stop
    links = [Connection(broker, f"{client_id}-{i}", tally.settled) for i in range(connections)]
    try:
        for link in links:
            link.open()
        _drive(links, _Feed(messages, links, rate=rate, live=live), patience, stop, lambda: on_progress(tally))
    finally:
        for link in links:
            link.close()
        tally.unacknowledged = sum(link.in_flight for link in links)
        tally.resent = sum(link.resent for link in links)
        on_progress(tally)
    return tally


class _Feed:
    """Gives each message to the connection of its device when rate or event time say so; the head waits for its own."""

    def __init__(self, messages: Iterable[Message], links: Sequence[Connection], *, rate: float, live: bool) -> None:
        self._messages = iter(messages)
        self._head = next(self._messages, None)
        self._links = links
        self._link_of: dict[str, Connection] = {}
        self._rate = rate
        self._live = live
        self._start = time.monotonic()
        self._sent = 0

    @property
    def done(self) -> bool:
        """Whether every message is on its way."""
        return self._head is None

    def wait(self) -> float:
        """Seconds until the head may be sent; below 0 it is late."""
        if self._live and self._head is not None:
            return self._head.time / 1000 - time.time()
        return self._start + self._sent / self._rate - time.monotonic() if self._rate > 0 else 0.0

    def push(self) -> None:
        """Send what pace and windows allow."""
        while self._head is not None and self.wait() <= 0:
            link = self._link(self._head.sender or self._head.topic)
            if link.room <= 0 or not link.send(self._head):
                return
            self._sent += 1
            self._head = next(self._messages, None)

    def _link(self, sender: str) -> Connection:
        link = self._link_of.get(sender)
        if link is None:
            link = self._link_of[sender] = self._links[zlib.crc32(sender.encode()) % len(self._links)]
        return link


def _drive(
    links: Sequence[Connection], feed: _Feed, patience: float, stop: threading.Event, on_tick: Callable[[], None]
) -> None:
    """Until everything is acknowledged, or was stopped and had time to be."""
    ticked = farewell = 0.0
    while not feed.done or any(link.in_flight for link in links):
        now = time.monotonic()
        if stop.is_set():
            farewell = farewell or now + FAREWELL
            if now > farewell or not any(link.in_flight for link in links):
                return
        else:
            feed.push()
        _exchange(links, TICK if stop.is_set() or feed.done else min(TICK, max(0.0, feed.wait()) or TICK))
        if now >= ticked + TICK:
            ticked = now
            _tick(links, now, patience)
            on_tick()


def _exchange(links: Sequence[Connection], timeout: float) -> None:
    """Write what waits, wait for what comes, at most `timeout` seconds, and take it in."""
    for link in links:
        link.write()
    open_links = {sock: link for link in links if (sock := link.sock) is not None}
    writers = [sock for sock, link in open_links.items() if link.wants_write]
    readable, _, _ = select.select(list(open_links), writers, [], timeout)
    for sock in readable:
        open_links[sock].read()


def _tick(links: Sequence[Connection], now: float, patience: float) -> None:
    for link in links:
        link.tick(now)
        if link.busy and now - link.heard > patience:
            raise Unreachable(f"the broker has not answered for {patience:.0f} seconds")
