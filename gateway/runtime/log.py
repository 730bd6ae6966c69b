"""What the gateway says on standard error: one JSON object a line, or text; events by name, numbers, and nobody.

There is no place for free text from outside: a message is an event's name and fields that the caller lists. Errors are
logged by their code and message, which by rule hold no identifier, topic, payload or value; a foreign exception is
logged by its type alone, since its text may quote what it failed on.

    log.event("ready", subscriptions=1)      {"event":"ready","time":"2026-01-31T12:00:00Z","level":"info",…}
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sys
import threading
from typing import TYPE_CHECKING, Literal, TextIO

from gateway.errors import GlomskaError

if TYPE_CHECKING:  # the supervisor logs, too, and knows no ids
    from gateway.model.ids import Controller

Level = Literal["debug", "info", "warning", "error"]
_RANK: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
Field = str | int | float | bool | None | dict[str, int] | list[str]


class Log:
    """Writes to one stream; may be used from any thread."""

    def __init__(
        self, *, level: str = "info", form: str = "json", stream: TextIO | None = None, worker: int = 0
    ) -> None:
        """`worker`: which of several writes; said in every line."""
        self._own: dict[str, Field] = {"worker": worker} if worker else {}
        self._least = _RANK[level]
        self._form = form
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def event(self, name: str, *, level: Level = "info", **fields: Field) -> None:
        """One line. `ready` and `stopped` are part of the outer surface and always said."""
        if _RANK[level] < self._least and name not in {"ready", "stopped"}:
            return
        time = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = self._own | fields
        if self._form == "json":
            line = json.dumps({"event": name, "time": time, "level": level, **fields}, separators=(",", ":"))
        else:
            line = " ".join([time, level.upper(), name, *(f"{k}={json.dumps(v)}" for k, v in fields.items())])
        with self._lock, contextlib.suppress(OSError, ValueError):  # a full disk or closed pipe stops no reading
            self._stream.write(line + "\n")  # at once: workers share what they write to
            self._stream.flush()

    def error(
        self, name: str, fault: BaseException, *, level: Level = "error", controller: Controller | None = None
    ) -> None:
        """What went wrong: our own errors in full, others by type. `controller`: whose, an organisation and nobody."""
        whose: dict[str, Field] = {} if controller is None else {"controller": controller}
        if isinstance(fault, GlomskaError):
            self.event(name, level=level, code=fault.code, message=str(fault), hint=fault.hint, **whose)
        else:
            self.event(name, level=level, code="bug", message=type(fault).__name__, **whose)
