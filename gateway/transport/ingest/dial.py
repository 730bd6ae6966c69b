"""A socket to the broker: the one place that knows how it is reached, by TCP alone or with TLS around it.

Whoever waits here can be woken: `wake` is a descriptor that becomes readable when the attempt is to end. The look-up of
the name alone cannot be interrupted (getaddrinfo(3)).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time

from gateway.errors import Unreachable
from gateway.transport.ingest.tls import Tls, TlsSocket, explained

HANDSHAKE_S = 10.0  # for each address of the broker, and again for its answers to CONNECT and SUBSCRIBE
SEND_S = 10.0  # a broker that takes no bytes for so long is gone


Wire = socket.socket | TlsSocket


def dial(host: str, port: int, wake: int, tls: Tls | None = None) -> Wire:
    """A connected socket, with TLS when there is `tls`. A readable `wake` ends the attempt. Raises Unreachable."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"mqtt broker at {host}:{port}: this name has no address") from None
    reason, hint = "", None
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            _connected(sock, address, wake)
            return sock if tls is None else _secured(sock, tls, host, wake)
        except OSError as error:
            sock.close()
            reason, hint = word(error)
    raise Unreachable(f"mqtt broker at {host}:{port}: {reason}", hint=hint)


def _secured(sock: socket.socket, tls: Tls, host: str, wake: int) -> TlsSocket:
    """TLS within HANDSHAKE_S unless woken. Raises OSError."""
    secured = TlsSocket(sock, tls.context, host)
    secured.shake_hands(wake, time.monotonic() + HANDSHAKE_S)
    return secured


def _connected(sock: socket.socket, address: tuple[object, ...], wake: int) -> None:
    """Connect within HANDSHAKE_S unless woken. Raises OSError."""
    sock.settimeout(0)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        poll.register(wake, select.POLLIN)
        done = any(number == sock.fileno() for number, _ in poll.poll(HANDSHAKE_S * 1000))
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if done else errno.ETIMEDOUT
    if code:
        raise OSError(code, os.strerror(code))
    sock.settimeout(SEND_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def word(error: OSError) -> tuple[str, str | None]:
    """What the system says, in lower case, and the next step where it is a special one."""
    if isinstance(error, ssl.SSLError):
        return explained(error)
    return (os.strerror(error.errno) if error.errno else "no answer in time").lower(), None
