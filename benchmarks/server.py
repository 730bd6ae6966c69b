"""What every server of the rig has in common: started on ports that are its own, killed, started again, removed."""

from __future__ import annotations

import abc
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from benchmarks import processes
from gateway.transport.broker import free_port

START_SECONDS = 120.0
MOVES = 5
_TAKEN = "ddress already in use"
STOP_SECONDS = 60.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy


class ServerMissing(RuntimeError):
    """The server is not installed; the message names the Debian package."""


class ServerDown(RuntimeError):
    """The server ended or does not answer; the message ends with the tail of its log."""


class PortTaken(ServerDown):
    """Somebody else has a port that it wanted."""


def http(url: str, *, data: bytes | None = None, timeout: float = 60.0) -> bytes:
    """Body of the answer to GET, or to POST when there are data. Raises urllib.error.URLError."""
    with _OPENER.open(url, data=data, timeout=timeout) as answer:
        return bytes(answer.read())


class Server(abc.ABC):
    """One process of one program. Subclasses say how it is configured, asked and reached."""

    program: ClassVar[str]
    package: ClassVar[str]
    scheme: ClassVar[str] = "http"

    def __init__(self, *, port: int = 0) -> None:
        """`port` 0: any that is free; it stays the same from the first start on."""
        self.port = port or free_port()
        self._may_move = not port
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is reached, without a path."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id. Raises ServerDown when it is not running."""
        if self._process is None or self._process.poll() is not None:
            message = f"{self.program} is not running{self._log_tail()}"
            raise ServerDown(message)
        return self._process.pid

    @property
    def directory(self) -> Path:
        """Its own directory: configuration, data, `log`. Made at the first start, removed by `stop`."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix=f"glomska-{self.program}-"))
        return self._directory

    def start(self) -> Self:
        """Return when it answers. Raises ServerMissing or ServerDown.

        Ports that were free when they were chosen may be taken by now; at the first start others are tried.
        """
        moves = MOVES if self._may_move else 0
        while True:
            try:
                self._launch()
            except PortTaken:
                if not moves:
                    self.stop()
                    raise
                moves -= 1
                self.move()
            else:
                self._may_move = False  # it is known by its port from here on
                return self

    def move(self) -> None:
        """To other ports than those that turned out to be taken."""
        self.port = free_port()

    def _launch(self) -> None:
        if self.answers():
            raise PortTaken(f"{self.program} does not start: another server answers on port {self.port}")
        command = [self._binary(), *self.arguments()]
        with (self.directory / "log").open("ab") as log:
            # A session of its own: Ctrl-C at the terminal reaches the rig, which then stops the servers in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not (self.answers() and processes.listens(self._process.pid, self.port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log_tail()
                self._end(signal.SIGTERM)
                if _TAKEN in said:
                    raise PortTaken(f"{self.program} does not start{said}")
                self.stop()
                raise ServerDown(f"{self.program} does not start{said}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL; the data stay for the next `start`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """SIGTERM (if it runs), then start on the same port and data."""
        self._end(signal.SIGTERM)
        self.start()

    def stop(self) -> None:
        """SIGTERM, then remove its directory. May be called twice."""
        self._end(signal.SIGTERM)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    @abc.abstractmethod
    def arguments(self) -> list[str]:
        """Command line behind the program; writes the configuration file if there is one."""

    @abc.abstractmethod
    def answers(self) -> bool:
        """Whether it takes requests now."""

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _binary(self) -> str:
        found = shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
        if found is None:
            message = f"{self.program} is not installed: apt-get install {self.package}"
            raise ServerMissing(message)
        return found

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _log_tail(self) -> str:
        log = None if self._directory is None else self._directory / "log"
        if log is None or not log.exists():
            return ""
        return "; its log ends:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])


def accepts(port: int) -> bool:
    """Whether a connection is accepted there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether GET is answered with success."""
    try:
        http(url, timeout=1)
    except (urllib.error.URLError, OSError):
        return False
    return True
