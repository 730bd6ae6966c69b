"""How a process tells its supervisor that it is ready, alive, reloading, ending: systemd's protocol, both ends of it.

    Notifier.of(os.environ).say("READY=1")             a worker, or `run` alone, to systemd or to our own supervisor
    Listener().next(0.5)                               our supervisor, which stands for systemd towards its workers

A message is lines of NAME=VALUE in one datagram to the socket that NOTIFY_SOCKET names; without that variable nobody
listens and nothing is sent. Names of our own begin with X_GLOMSKA_, which systemd ignores. Source: sd_notify(3).

The kernel says which process a message is from, so that no other process can speak for a worker. Source: unix(7).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import MutableMapping

BOOKS = "X_GLOMSKA_BOOKS"
SOCKET, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
_CREDENTIALS = 12  # bytes: pid, uid, gid
_LONGEST = 16 * 1024


class Notifier:
    """Says things to whoever supervises this process, or to nobody."""

    def __init__(self, address: str = "", *, within_s: float = 0.0) -> None:
        """`within_s`: how long we may be silent before we are taken for hung; 0: nobody minds."""
        self.within_s = within_s
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Notifier:
        """As the variables say, which are taken out: what we start ourselves is not to speak for us."""
        address = environ.pop(SOCKET, "")
        silent, whose = environ.pop(WATCHDOG, ""), environ.pop(WATCHDOG_PID, "")
        ours = silent.isdigit() and whose in {"", str(os.getpid())}
        return cls(address, within_s=int(silent) / 1e6 if ours else 0.0)

    def say(self, *lines: str) -> None:
        """One message. Does not raise: who does not listen must not stop a reading."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(1.0)
            out.sendto("\n".join(lines).encode(), self._address)

    def reloading(self) -> None:
        """What follows is a reload, until READY=1."""
        self.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


class Listener:
    """Where a supervisor hears its workers."""

    def __init__(self) -> None:
        self._in = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._in.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._in.bind("")  # the kernel gives it a name that no file has

    @property
    def address(self) -> str:
        """For NOTIFY_SOCKET."""
        name = self._in.getsockname()
        return "@" + bytes(name).lstrip(b"\0").decode()

    def next(self, wait_s: float) -> tuple[int, dict[str, str]] | None:
        """Process id and what it says; None after `wait_s` s."""
        self._in.settimeout(wait_s)
        try:
            data, ancillary, _flags, _from = self._in.recvmsg(_LONGEST, socket.CMSG_SPACE(_CREDENTIALS))
        except (TimeoutError, BlockingIOError):
            return None
        sender = next(
            (int.from_bytes(raw[:4], sys.byteorder) for _, kind, raw in ancillary if kind == socket.SCM_CREDENTIALS), 0
        )
        said = dict(line.split("=", 1) for line in data.decode(errors="replace").splitlines() if "=" in line)
        return sender, said

    def close(self) -> None:
        """Let go of the socket."""
        self._in.close()
