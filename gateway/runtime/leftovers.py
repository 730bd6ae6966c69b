"""Spools of workers that there are no more, drained by whoever leads, beside everything else.

A gateway that is started with fewer workers, or alone, finds what the others had spooled when they ended. It is sealed
and acknowledged, so nobody sends it again: it must not wait for a worker of that name to come back.

    leftovers = Leftovers(spools, base="glomska-1", seat=Seat(1, of=2), spooling=lambda name: …, log=log)
    leftovers.drain()          # housekeeping: for a few seconds at most; raises Unreachable while the store is away

A spool that a living process holds is left alone, and so are those of gateways with another `mqtt.client_id`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from gateway.runtime.log import Log
from gateway.runtime.roll import Seat
from gateway.runtime.spooling import Spooling
from gateway.transport.spool import SpoolHeld, Spools

AT_ONCE_S = 2.0


def drained_by(base: str) -> re.Pattern[str]:
    """Names of spools that a gateway of this `mqtt.client_id` drains by itself, whether their workers run or not."""
    return re.compile(re.escape(base) + r"(-\d+)?")


class Leftovers:
    """See the module."""

    def __init__(self, spools: Spools, *, base: str, seat: Seat, spooling: Callable[[str], Spooling], log: Log) -> None:
        """`spooling` makes what drains the spool of that name, not opened."""
        self._spools, self._spooling, self._log = spools, spooling, log
        self._ours = drained_by(base)
        self._had = {Seat(number, seat.of).client_id(base) for number in range(1, seat.of + 1)} or {base}

    def drain(self) -> None:
        """What is left, as far as it goes now. Raises Unreachable, LeaseOver: later it may go on."""
        deadline = time.monotonic() + AT_ONCE_S
        for name in self._spools.workers():
            if name not in self._had and self._ours.fullmatch(name):
                self._drain_one(name, deadline)

    def _drain_one(self, name: str, deadline: float) -> None:
        spooling = self._spooling(name)
        try:
            spooling.open()
        except SpoolHeld:
            return
        try:
            while time.monotonic() < deadline:
                if spooling.step() is None:
                    self._had.add(name)
                    self._log.event("spool drained", points=spooling.counted.drained)
                    return
        finally:
            spooling.close()
