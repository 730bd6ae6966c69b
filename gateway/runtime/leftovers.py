"""Spools of workers that there are no more, drained by whoever leads, beside everything else.

A gateway that is started with fewer workers, or alone, finds what the others had spooled when they ended. It is sealed
and acknowledged, so nobody sends it again: it must not wait for a worker of that name to come back. With
`spool.max_bytes = 0` every one is such.

    leftovers = Leftovers(spools, base="glomska-1", seat=Seat(1, of=2), spooling=lambda name: …, log=log)
    leftovers.drain()          # housekeeping: for a few seconds at most; raises Unreachable while the store is away

A spool that a living process holds is left alone, and so are those of gateways with another `mqtt.client_id`. Between
looks nobody holds one, so that a worker of that name may come back; what drains it is kept, and knows what is swept.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

from gateway.errors import Unreachable
from gateway.runtime.duties import AT_ONCE_S
from gateway.runtime.log import Log
from gateway.runtime.roll import Seat
from gateway.runtime.spooling import Spooled, Spooling, asked_for
from gateway.transport.spool import SpoolHeld, Spools, SpoolUnable


def drained_by(base: str) -> re.Pattern[str]:
    """Names of spools that a gateway of this `mqtt.client_id` drains by itself, whether their workers run or not."""
    return re.compile(re.escape(base) + r"(-\d+)?")


class Leftovers:
    """See the module."""

    def __init__(
        self, spools: Spools, *, base: str, seat: Seat | None, spooling: Callable[[str], Spooling], log: Log
    ) -> None:
        """`spooling` makes what drains the spool of that name, not opened. No `seat`: workers have no spools now."""
        self._spools, self._spooling, self._log = spools, spooling, log
        self._ours = drained_by(base)
        self._had: set[str] = set()
        if seat is not None:
            self._had = {Seat(number, seat.of).client_id(base) for number in range(1, seat.of + 1)} or {base}
        self._begun: dict[str, Spooling] = {}
        self._alone_until = 0.0  # monotonic, s: the store asked for it

    @property
    def counted(self) -> Spooled:
        """Since start, of all of them."""
        return sum((spooling.counted for spooling in list(self._begun.values())), Spooled())

    def drain(self) -> None:
        """What is left, as far as it goes now. Raises Unreachable, LeaseOver: later it may go on."""
        if time.monotonic() < self._alone_until:
            return
        left, unable = AT_ONCE_S, list[SpoolUnable]()
        for name in self._spools.workers():
            if left > 0 and name not in self._had and self._ours.fullmatch(name):
                try:
                    left -= self._drain_one(name, left)
                except SpoolUnable as fault:  # which is no reason to leave others waiting
                    unable.append(fault)
                except Unreachable as fault:
                    self._alone_until = time.monotonic() + asked_for(fault)
                    raise
        if unable:
            raise unable[0]

    def _drain_one(self, name: str, seconds: float) -> float:
        """For so long, and one chunk at least; how long it took. The first is not counted: all was swept before it."""
        if name not in self._begun:
            self._begun[name] = self._spooling(name)
        spooling, begun = self._begun[name], math.inf
        try:
            spooling.open()
        except SpoolHeld:
            return 0.0
        try:
            while spooling.step() is not None:
                begun = min(begun, time.monotonic())
                if time.monotonic() - begun >= seconds:
                    return seconds
        finally:
            spooling.close()
        self._had.add(name)
        self._log.event("spool drained", points=spooling.counted.drained)
        return max(0.0, time.monotonic() - begun)
