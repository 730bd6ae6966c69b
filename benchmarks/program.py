"""A measured program: it says `{"event": …}` in JSON lines on stderr, and SIGTERM ends it.

What does not speak JSON tells that it is ready by a text in one of its lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
ENDED_SECONDS = 5.0


class ProgramFault(RuntimeError):
    """It ended, or did not say what was waited for; the message ends with what it said last."""


class Program:
    """One process and the events it tells."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, ready_text: str = ""
    ) -> None:
        """Start; `environment` is added to ours; a line that holds `ready_text` is the event `ready`."""
        self._ready_text = ready_text
        self._name = " ".join(command[:4])
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._events: dict[str, dict[str, Any]] = {}
        self._said: deque[str] = deque(maxlen=15)
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait(self, event: str, seconds: float = READY_SECONDS) -> dict[str, Any]:
        """The event, when it has been told. Raises ProgramFault."""
        with self._news:
            self._news.wait_for(lambda: event in self._events or not self._reader.is_alive(), seconds)
            if event not in self._events:
                raise self.fault(f"did not say {event!r} within {seconds:.0f} s")
            return self._events[event]

    def go(self) -> None:
        """A line on its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def stop(self) -> dict[str, Any]:
        """SIGTERM and wait; what `stopped` told. Raises ProgramFault when it does not end, or not with 0."""
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise self.fault("did not end after SIGTERM") from None
        self._reader.join()
        if code != 0:
            raise self.fault(f"ended with {code}")
        return self._events.get("stopped", {})

    def fault(self, what: str) -> ProgramFault:
        """An error about this program with the last lines it wrote."""
        return ProgramFault(f"{self._name} {what}; it said last:\n" + "\n".join(self._said))

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it by force if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(
            ENDED_SECONDS
        )  # children of its own, which end by themselves, may still hold what it wrote to
        if self._reader.is_alive():
            return
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.rstrip())
            if self._ready_text and self._ready_text in line:
                self._tell({"event": "ready"})
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and "event" in told:
                self._tell(told)
        with self._news:
            self._news.notify_all()

    def _tell(self, told: dict[str, Any]) -> None:
        with self._news:
            self._events[told["event"]] = told
            self._news.notify_all()
