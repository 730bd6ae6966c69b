"""What the threads of a worker have in common: whether to stop, when each last moved, and what each waits for.

watch.moved("storing", within=30)     # a request that may take 30 s begins
watch.trouble("storing", fault)       # said once, not at every try; raised again where waiting mends nothing
watch.recovered("storing")            # said when there was trouble

Each thread has its own names; anybody may ask how long it is since the slowest moved.
"""

from __future__ import annotations

import threading
import time

from gateway.errors import GlomskaError
from gateway.runtime.duties import GONE_ON_WITH, WAITED_OUT
from gateway.runtime.log import Level, Log


class Watch:
    """See the module."""

    def __init__(self, log: Log) -> None:
        self.stopping = threading.Event()
        self._log = log
        self._said: dict[str, str] = {}
        self._moved: dict[str, float] = {}

    def moved(self, duty: str, *, within: float = 0.0) -> None:
        """A duty goes on, and will again before `within` s have passed, and a little."""
        self._moved[duty] = time.monotonic() + within

    def ended(self, duty: str) -> None:
        """It need not move any more."""
        self._moved.pop(duty, None)

    def silent_s(self) -> float:
        """For how long the duty that moved least lately has not moved, in seconds."""
        now = time.monotonic()
        return max((now - moved for moved in list(self._moved.values())), default=0.0)

    def trouble(self, where: str, fault: GlomskaError, *, level: Level = "warning") -> None:
        """Said once, not at every try. What waiting does not mend is raised again."""
        if not isinstance(fault, GONE_ON_WITH if where == "housekeeping" else WAITED_OUT):
            raise fault
        if self._said.get(where) != str(fault):
            self._said[where] = str(fault)
            self._log.error(f"waiting: {where}", fault, level=level if isinstance(fault, WAITED_OUT) else "error")

    def recovered(self, where: str) -> None:
        """What was waited for is there."""
        if self._said.pop(where, None) is not None:
            self._log.event(f"recovered: {where}")
