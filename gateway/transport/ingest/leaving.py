"""A session that goes away for good: it unsubscribes, hands out what the broker still holds for it, and then ends.

    Leaving("127.0.0.1", 1883, "glomska-1-3", [], former=["$share/glomska/glomska/+/+/readings"], on_drained=strike, …)

It is drained when all that was delivered is acknowledged, nothing came for QUIET_S, and a PINGREQ sent then was
answered with nothing before the answer: brokers send what acknowledgements made room for before they answer what came
after them. Only then is the session given up. A connection that is lost begins this anew; so does the next start where
this process ends before: the broker still holds what is left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.transport.ingest.session import Delivery, Session

QUIET_S = 2.0


class Leaving(Session):
    """See the module. Its `receive` gives None for good once it has ended."""

    def __init__(self, *terms: Any, on_drained: Callable[[], object], **more: Any) -> None:  # noqa: ANN401 - Session's
        """Args: `terms` and `more` as Session has them, without `filters`, and with `former`."""
        super().__init__(*terms, **more)
        self._on_drained = on_drained
        self._counting = threading.Lock()
        self._under = 0  # the generation that is counted
        self._unsettled = 0
        self._still_since = time.monotonic()
        self._asked = False

    def receive(self, timeout_s: float) -> Delivery | None:
        """As a session's."""
        delivery = super().receive(timeout_s)
        with self._counting:
            if self._under != self.generation:
                self._under, self._unsettled = self.generation, 0
                self._stir()
            if delivery is not None:
                self._unsettled += sum(1 for token in delivery.tokens if token)
                self._stir()
        if delivery is None and not self._stopped and self._is_drained():
            self._end()
        return delivery

    def acknowledge(self, generation: int, packet_ids: Sequence[int]) -> None:
        """As a session's."""
        super().acknowledge(generation, packet_ids)
        with self._counting:
            if generation == self._under:
                self._unsettled -= sum(1 for token in packet_ids if token)
                self._stir()

    def _stir(self) -> None:
        self._still_since, self._asked = time.monotonic(), False

    def _is_drained(self) -> bool:
        live = self._live
        with self._counting:
            quiet = time.monotonic() - self._still_since >= QUIET_S
            if live is None or not live[1].unsubscribed or self._unsettled or not quiet:
                return False
            if self._asked:
                return live[1].answered
            self._asked = True
        live[1].ping()
        return False

    def _end(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live[1].end()
            self._on_drained()
        self.stop()
