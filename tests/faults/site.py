"""A whole site in namespaces of its own: fleet, broker, gateway, store, and the lines between them.

      fleet ══════ broker ══ tap ══════ gateway ══════ front ══ store        ══  within one machine
             line            (witness)   │     line                          ══════ a line that can be cut
                                        disk of its own

The gateway is kept running as an init system would: whenever it ends, it is started again.

    with Site(directory, stream, workers=2) as site:
        with site.publishing(rate=2_000) as publisher:
            FAULTS["store killed"](site, chance)
        books = site.settled()
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from benchmarks import processes
from benchmarks.servers import InfluxDB1, Mosquitto
from gateway.runtime.config import resource
from tests.commands import Gateway, Running, Stack
from tests.faults.stream import Stream, enrolment
from tests.faults.tap import Tap
from tests.fronts import Relay, StoreFront
from tests.netns import Disk, Line, machine

LEASE_S = 2
DISK_MB = 192
_PATIENCE_S = 300.0  # until the gateway has started
_EXPECTED_ENDS = {0, 4, -signal.SIGKILL}  # stopped, unreachable at the start, killed


class Site:
    """See the module. A context manager; it must stand in namespaces of its own (`netns.isolated`)."""

    def __init__(
        self,
        directory: Path,
        stream: Stream,
        *,
        workers: int = 1,
        queue: int = 0,
        settings: Mapping[str, str | float] = MappingProxyType({}),
    ) -> None:
        """`queue`: messages that the broker keeps for a session at most; `settings` of the gateway as in `Gateway`."""
        self.stream = stream
        self.workers = workers
        self.taken = bytearray(stream.count)  # acknowledged by the store: 0 or 1 a message
        self.ended: list[int] = []  # how the gateway ended when nobody had asked it to
        self.now_mb = self.peak_mb = 0.0  # resident memory of the gateway, workers and all
        self._directory, self._queue, self._settings = directory, queue, settings
        self._policy = directory / "policy.toml"
        self._lives = contextlib.ExitStack()
        self._over = threading.Event()
        self._starting = threading.Lock()
        self._running: Running | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as lives:
            self.broker = lives.enter_context(Mosquitto(persistence=True, queue=self._queue))
            self.store = lives.enter_context(InfluxDB1(database="glomska", log_level="info"))
            within, self._fleet = machine("gateway"), machine("fleet")
            self.lines = {
                "broker": Line("broker", 1, to="gateway"),
                "store": Line("store", 2, to="gateway"),
                "fleet": Line("fleet", 3, to="fleet"),
            }
            self.tap = lives.enter_context(Tap(self.stream, upstream=self.broker.port, host=self.lines["broker"].here))
            self.front = lives.enter_context(
                StoreFront(self.store.port, host=self.lines["store"].here, on_taken=self._take)
            )
            self.entrance = lives.enter_context(Relay(self.broker.port, host=self.lines["fleet"].here))
            self.disk = Disk(self._directory / "box", DISK_MB)
            lives.callback(self.disk.remove)
            self.gateway = self._configured(within)
            self.gateway.enrol(enrolment())
            lives.callback(self._end)
            self._keeper = threading.Thread(target=self._keep)
            self._keeper.start()
            self._lives = lives.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lives.close()

    @property
    def pid(self) -> int | None:
        """The gateway's process, its supervisor where it has workers; None while it is away."""
        running = self._running
        return None if running is None else running.pid

    def ready_pid(self) -> int | None:
        """The same once it hears signals; None before."""
        running = self._running
        return running.pid if running is not None and running.alive and running.events("ready") else None

    def worker_pids(self) -> list[int]:
        """The processes that take messages in."""
        pid = self.pid
        if pid is None:
            return []
        return processes.tree(pid)[1:] if self.workers > 1 else [pid]

    def write_policy(self, more: str = "") -> None:
        """As it is shipped, and more."""
        self._policy.write_text(resource("policy.toml").read_text(encoding="utf-8") + more, encoding="utf-8")

    @contextlib.contextmanager
    def fsync_failing(self) -> Iterator[None]:
        """No file of the gateway can be made durable."""
        flag = self._directory / "fsync-fails"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    @contextlib.contextmanager
    def publishing(self, *, rate: float) -> Iterator[subprocess.Popen[str]]:
        """The fleet on its way, once somebody listens; the end of the block waits until the broker has acknowledged."""
        assert self.tap.subscribed.wait(_PATIENCE_S), "the gateway does not subscribe"
        command = [*self._fleet, sys.executable, "-m", "tests.faults.stream", "--url", self.entrance.url]
        command += ["--count", str(self.stream.count), "--start-ms", str(self.stream.start_ms), "--rate", str(rate)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
            try:
                yield publisher
                said, _ = publisher.communicate(timeout=3_600)
            except BaseException:
                publisher.kill()
                raise
        tally = json.loads(said)
        assert (tally["deliveries"], tally["unacknowledged"]) == (self.stream.count, 0), tally

    def settle(self) -> None:
        """Wait until nothing is under way any more, then end the gateway in good order."""
        before, since = (-1, -1), time.monotonic()
        while time.monotonic() < since + 3 * LEASE_S:
            now = (sum(self.tap.acknowledged), self.points())
            if now != before or self._waiting():
                before, since = now, time.monotonic()
            time.sleep(0.5)
        self._over.set()
        self._keeper.join()
        with self._starting:
            if self._running is not None:
                self._running.stop()
                self._running = None

    def points(self) -> int:
        """Distinct points in the store, and fields of one that has more than one."""
        answer = json.loads(self.store.query("SELECT COUNT(*) FROM telemetry", "glomska"))
        series = answer["results"][0].get("series", [])
        return sum(count or 0 for count in series[0]["values"][0][1:]) if series else 0

    def in_the_clear(self, needles: Sequence[bytes]) -> list[str]:
        """Files of the gateway and of the store that hold one of these."""
        folders = [self.gateway.state, self.store.directory / "data", self.store.directory / "wal"]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return sorted({path.name for path in files if any(needle in path.read_bytes() for needle in needles)})

    def letters(self) -> dict[str, int]:
        """Dead letters that are kept, by reason."""
        return dict(self.command("dead-letters", "list", "--limit", "1")["by_reason"])

    def command(self, *arguments: str, stdin: str = "") -> Any:  # noqa: ANN401 - JSON
        """What a `glomska` command says with `--json`."""
        return json.loads(self.gateway.call(*arguments, "--json", stdin=stdin))

    def _take(self, body: bytes) -> None:
        """The store has acknowledged these points, of which each tells by its time which message it is."""
        for line in body.splitlines():
            number = self.stream.at(int(line[line.rindex(b" ") :]) // 1_000_000)
            if number is not None:
                self.taken[number] = 1

    def _waiting(self) -> bool:
        """Whether anything waits in a spool."""
        return any(spool["points"] for spool in self.command("spool", "status")["spools"])

    def _configured(self, within: list[str]) -> Gateway:
        box = self._directory / "box"
        preload = self._directory / "fsync.so"
        source = Path(__file__).with_name("fsync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", preload, source], check=True)
        gateway = Gateway(
            box,
            Stack(self.broker, self.store.url, self.store),
            broker_url=self.tap.url,
            store_url=self.front.url,
            within=within,
            **{
                "policy": str(self._policy),
                "mqtt__allow_plaintext": "true",
                "mqtt__keep_alive_s": 5,
                "store__allow_plaintext": "true",
                "store__timeout_s": 2,
                "keys__lease_s": LEASE_S,
                "keys__poll_ms": 200,
                **self._settings,
            },
        )
        self.write_policy()
        gateway.environment |= {"LD_PRELOAD": str(preload), "FSYNC_FAILS": str(self._directory / "fsync-fails")}
        return gateway

    def _keep(self) -> None:
        """Start the gateway again whenever it has ended."""
        while not self._over.is_set():
            workers = ("--workers", str(self.workers)) if self.workers > 1 else ()
            with self._starting:
                if self._over.is_set():
                    return
                running = self._running = Running(self.gateway, *workers)
            while running.alive and not self._over.wait(0.1):
                with contextlib.suppress(OSError):
                    self.now_mb = processes.rss_mb(running.pid)
                    self.peak_mb = max(self.peak_mb, self.now_mb)
            if not running.alive:
                self._running = None
                self.ended.append(code := running.wait())
                assert code in _EXPECTED_ENDS, running.text[-4_000:]

    def _end(self) -> None:
        self._over.set()
        self._keeper.join()
        if self._running is not None:
            self._running.kill()
