"""A deadline for a whole request, whatever a server does: time-outs bound each wait for bytes, and bytes may trickle.

Erasure counts on it: when the longest request that a worker may have had under way is over, rows are deleted once more.

    with Deadline(seconds):
        pool.urlopen(…)             # of `pools`: hung up on when it is over; urllib3 says the connection is closed

Connecting has a time-out for each address of a name: where these took all of it, nothing is sent any more.

One thread watches over all requests, twice a second while there are any: a timer each would be a thread each.
"""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Self

from urllib3.connection import HTTPConnection, HTTPSConnection

_BOTH_WAYS = 2  # SHUT_RDWR: whoever waits for bytes is told that there are no more
_LOOK = 0.5  # seconds between looks; within what erasure adds to the longest request


class Deadline:
    """Hangs up on the connection that the thread within it uses, `seconds` after it was entered, or soon after."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._connection: HTTPConnection | None = None
        self.due = 0.0

    def __enter__(self) -> Self:
        """From now on."""
        self.due = time.monotonic() + self._seconds
        _under.deadline = self
        _watch.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It was met, or is not needed any more."""
        _watch.remove(self)
        _under.deadline = None

    def uses(self, connection: HTTPConnection) -> None:
        """By which the request goes."""
        self._connection = connection

    def begins(self) -> None:
        """Connected, and nothing is sent yet. Raises TimeoutError: connecting took all of it, address after address."""
        if time.monotonic() >= self.due:
            raise TimeoutError

    def hang_up(self) -> None:
        """From another thread."""
        found = self._connection and self._connection.sock
        if found:
            with contextlib.suppress(OSError):
                found.shutdown(_BOTH_WAYS)


class _Watch:
    """All deadlines that are not over, and the thread that looks at them, begun with the first."""

    def __init__(self) -> None:
        self._open: dict[Deadline, None] = {}
        self._some = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        self._open[deadline] = None
        if not self._some.is_set():
            self._some.set()
        if self._thread is None or not self._thread.is_alive():  # after a fork it is not
            self._begin()

    def remove(self, deadline: Deadline) -> None:
        self._open.pop(deadline, None)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._some.wait():
            self._some.clear()
            while found := list(self._open):
                now = time.monotonic()
                for deadline in found:
                    if deadline.due <= now:
                        deadline.hang_up()
                time.sleep(_LOOK)


class _Under(threading.local):
    deadline: Deadline | None = None


_under = _Under()
_watch = _Watch()


class PlainConnection(HTTPConnection):
    """HTTP that keeps deadlines."""

    def connect(self) -> None:
        """Raises TimeoutError as well, see `begins`."""
        super().connect()
        if _under.deadline is not None:
            _under.deadline.begins()

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is in urllib3
        """This is the connection that a deadline hangs up on."""
        if _under.deadline is not None:
            _under.deadline.uses(self)
        super().putrequest(method, url, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding)


class TlsConnection(HTTPSConnection):
    """HTTPS that keeps deadlines."""

    def connect(self) -> None:
        """Raises TimeoutError as well, see `begins`."""
        super().connect()
        if _under.deadline is not None:
            _under.deadline.begins()

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is in urllib3
        """This is the connection that a deadline hangs up on."""
        if _under.deadline is not None:
            _under.deadline.uses(self)
        super().putrequest(method, url, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding)
