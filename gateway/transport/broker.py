"""The embedded MQTT broker of `glomska demo` and of tests: rumqttd, from the wheel `iotcore`, in a child process.

It speaks MQTT 5 on loopback only, without TLS or passwords, and keeps everything in memory: sessions survive a client's
absence, not the broker's own. The only module that imports iotcore.

What a client has to know of rumqttd 0.20 (rumqttd/src/router/iobufs.rs, link/remote.rs, and tried):

- it has at most `IN_FLIGHT` unacknowledged QoS 1 messages out to one client, whatever Receive Maximum says, lower or
  higher; a client that waits for more before it acknowledges waits for ever, so flush by time as well;
- acknowledgements must come in the order of delivery: one out of order ends the connection;
- after a reconnect the unacknowledged messages come first, and while they fill the window the SUBACK does not come:
  acknowledge them before it. They are not marked as duplicates;
- keep-alive 0 is refused by closing the connection; a silent client is dropped after 1.5 times its keep-alive;
- a shared subscription is forgotten with its last member: what is published while all are away is lost, and where that
  member had unacknowledged messages, the broker ends (router/routing.rs, `handle_disconnection`). So workers that may
  all be away at once need another broker; one of several may come and go;
- a session may fall behind by `BACKLOG_BYTES` per subscription filter; then the oldest messages are lost.

    with EmbeddedBroker() as broker:
        connect(broker.url)
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gateway.errors import Unreachable

if TYPE_CHECKING:
    from iotcore import Broker

IN_FLIGHT = 100
"""Unacknowledged QoS 1 messages to one client; a constant in rumqttd, not configurable."""

PAYLOAD_BYTES = 16 * 2**20
"""Largest packet taken. The wheel's default, 20 kB, would cut what the gateway itself must refuse as `too_large`."""

SEGMENT_BYTES, SEGMENTS = 16 * 2**20, 32
BACKLOG_BYTES = SEGMENT_BYTES * SEGMENTS

_CONFIGURATION = """\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = {segment_bytes}
max_segment_count = {segments}
[v5.1]
name = "mqtt5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload_bytes}
max_inflight_count = {in_flight}
dynamic_filters = true
"""


_LOWEST_PORT = 10_000
_TRIES = 50
_STARTS = 5


def free_port() -> int:
    """A TCP port of loopback that nobody uses now, drawn from below those that Linux gives to outgoing connections.

    Of those it may be another's by the time a server binds it: any program's next connection takes one.
    """
    for port in random.sample(range(_LOWEST_PORT, _first_outgoing()), _TRIES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_outgoing() -> int:
    with contextlib.suppress(OSError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        if first >= _LOWEST_PORT + _TRIES:
            return first
    return 32_768


class EmbeddedBroker:
    """One broker process; a context manager, and startable again after `stop` or `kill` (sessions are gone then)."""

    def __init__(self, port: int = 0) -> None:
        """`port` 0: any that is free."""
        self.port = port or free_port()
        self._tries = 1 if port else _STARTS
        self._broker: Broker | None = None

    @property
    def url(self) -> str:
        """`mqtt://127.0.0.1:PORT`."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id. Raises Unreachable when it is not running."""
        if self._broker is None or self._broker._process is None:  # noqa: SLF001 - the wheel has no public name for it
            message = "the embedded broker is not running"
            raise Unreachable(message, hint="start it first")
        return self._broker._process.pid  # noqa: SLF001

    def start(self) -> Self:
        """Return when it accepts connections. Raises Unreachable: port busy, or it ended by itself.

        A port that it chose itself, and that was taken before it could bind it, it gives up for another at first start.
        """
        while True:
            self._tries -= 1
            try:
                self._start()
            except Unreachable:
                if self._tries <= 0:
                    raise
                self.port = free_port()
            else:
                self._tries = 0  # it is known by its port from here on
                return self

    def _start(self) -> None:
        with tempfile.TemporaryDirectory(prefix="glomska-broker-") as directory:
            path = Path(directory, "broker.toml")
            path.write_text(
                _CONFIGURATION.format(
                    port=self.port,
                    segment_bytes=SEGMENT_BYTES,
                    segments=SEGMENTS,
                    payload_bytes=PAYLOAD_BYTES,
                    in_flight=IN_FLIGHT,
                )
            )
            from iotcore import Broker  # noqa: PLC0415 - 5 MB that a gateway without `demo` need not carry

            broker = Broker(config_path=str(path))
            # Ctrl-C goes to the whole foreground group; the broker must outlive it until the gateway has drained.
            # A blocked signal stays blocked in the child.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                broker.start()
            except (OSError, RuntimeError) as error:
                message = f"the embedded broker does not start on 127.0.0.1:{self.port}: {error}"
                raise Unreachable(message, hint="is the port taken? 0 picks a free one") from error
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._broker = broker

    def stop(self) -> None:
        """End it; may be called twice."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._broker is not None and self._broker._process is not None:  # noqa: SLF001
            self._broker._process.kill()  # noqa: SLF001
            self._broker._process.wait()  # noqa: SLF001
        self.stop()

    def restart(self) -> None:
        """Stop and start on the same port; sessions are gone."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
