"""A deadline for a whole request, whatever a server does: time-outs bound each wait for bytes, and bytes may trickle.

Erasure counts on it: when the longest request that a worker may have had under way is over, rows are deleted once more.

    pool.ConnectionCls = connection_class("http")
    with Deadline(seconds):
        pool.urlopen(…)             # hung up on when it is over; urllib3 then says that the connection is closed

A timer is a thread: some 60 us a request, and a request holds a batch.
"""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

_BOTH_WAYS = 2  # SHUT_RDWR: whoever waits for bytes is told that there are no more


class Deadline:
    """Hangs up on the connection that the thread within it uses, `seconds` after it was entered."""

    def __init__(self, seconds: float) -> None:
        self._connection: HTTPConnection | None = None
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """From now on."""
        _under.deadline = self
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It was met, or is not needed any more."""
        self._timer.cancel()
        _under.deadline = None

    def uses(self, connection: HTTPConnection) -> None:
        """By which the request goes."""
        self._connection = connection

    def _hang_up(self) -> None:
        found = self._connection and self._connection.sock
        if found:
            with contextlib.suppress(OSError):
                found.shutdown(_BOTH_WAYS)


class _Under(threading.local):
    deadline: Deadline | None = None


_under = _Under()


class _Plain(HTTPConnection):
    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is in urllib3
        if _under.deadline is not None:
            _under.deadline.uses(self)
        super().putrequest(method, url, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding)


class _Tls(HTTPSConnection):
    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is in urllib3
        if _under.deadline is not None:
            _under.deadline.uses(self)
        super().putrequest(method, url, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding)


class PlainPool(urllib3.HTTPConnectionPool):
    """HTTP that keeps deadlines."""

    ConnectionCls = _Plain


class TlsPool(urllib3.HTTPSConnectionPool):
    """HTTPS that keeps deadlines."""

    ConnectionCls = _Tls


POOLS = {"http": PlainPool, "https": TlsPool}
"""By scheme, as `urllib3.PoolManager` wants them."""
