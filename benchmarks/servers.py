"""Real servers for tests and benchmarks, each on a free loopback port with its own directory and configuration.

A server is a context manager; `start` returns when it answers. Data outlive `kill` and `restart`, and go with `stop`.
Nothing is mocked and nothing of the machine's own instances is touched.

    with Mosquitto() as broker, InfluxDB1(database="glomska") as store:
        run(broker.url, store.url)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from benchmarks.certificates import Authority
from benchmarks.server import Server, ServerDown, ServerMissing, accepts, answers, http
from gateway.transport.broker import EmbeddedBroker, free_port

__all__ = [
    "EmbeddedBroker",
    "InfluxDB1",
    "Mosquitto",
    "SecureMosquitto",
    "Server",
    "ServerDown",
    "ServerMissing",
    "VictoriaMetrics",
    "free_port",
    "http",
]


class Mosquitto(Server):
    """Mosquitto 2.0, tuned not to drop: no limit on what is queued or in flight, no delay of small segments."""

    program, package, scheme = "mosquitto", "mosquitto", "mqtt"

    def __init__(self, *, port: int = 0, persistence: bool = False, queue: int = 0) -> None:
        """`persistence`: sessions are saved at SIGTERM and every second, so that they outlive `restart`.

        `queue`: how many messages wait for a session at most, beside those in flight; 0: all.
        """
        super().__init__(port=port)
        self._persistence, self._queue = persistence, queue

    def arguments(self) -> list[str]:
        """See mosquitto.conf(5)."""
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "max_inflight_messages 0",
            f"max_queued_messages {self._queue}",
            "set_tcp_nodelay true",
            "sys_interval 0",
            "connection_messages false",
            f"persistence {str(self._persistence).lower()}",
            f"persistence_location {self.directory}/",
            "autosave_interval 1",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # otherwise it becomes `mosquitto`, who may not read this directory
        path = self.directory / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return ["-c", str(path)]

    def answers(self) -> bool:
        """A connection is accepted."""
        return accepts(self.port)


class SecureMosquitto(Mosquitto):
    """Mosquitto with the configuration that the gateway ships: TLS, logins, access by topic, queues, persistence.

    Taken as it is but for ports, address and folders. `authority` signed its certificate and may be asked for others;
    users and their password are `glomska`, which reads, and controllers, who write.
    """

    scheme = "mqtts"
    PASSWORD = "correct horse"  # noqa: S105 - of a broker that lives for one test

    def __init__(self, *, users: Sequence[str] = ("demo",), host: str = "127.0.0.1", days: float = 30) -> None:
        """`users` beside glomska; `host` and `days` are the certificate's."""
        super().__init__(persistence=True)
        self.mtls_port = free_port()
        self.authority = Authority(self.directory / "certs")
        self.authority.issue("server", host=host, days=days)
        passwords = self.directory / "passwords"
        for user in ("glomska", *users):
            command = ["mosquitto_passwd", *(() if passwords.exists() else ("-c",)), "-b", passwords, user]
            subprocess.run([*command, self.PASSWORD], check=True)
        self.password_file = self.directory / "password"
        self.password_file.write_text(self.PASSWORD)
        self.password_file.chmod(0o600)

    def move(self) -> None:
        """Both."""
        super().move()
        self.mtls_port = free_port()

    @property
    def mtls_url(self) -> str:
        """Where a certificate is the login."""
        return f"{self.scheme}://127.0.0.1:{self.mtls_port}"

    def arguments(self) -> list[str]:
        """The shipped files, with this server's ports and folders in them."""
        shipped = Path(__file__).parents[1] / "config" / "mosquitto"
        text = (shipped / "glomska.conf").read_text(encoding="utf-8")
        for theirs, ours in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("listener 8884", f"listener {self.mtls_port} 127.0.0.1"),
            ("/etc/mosquitto/", f"{self.directory}/"),
            ("autosave_interval 30", "autosave_interval 1"),
        ):
            assert theirs in text
            text = text.replace(theirs, ours)
        own = f"persistence true\npersistence_location {self.directory}/\n"  # which stand in Debian's own file
        if os.geteuid() == 0:
            own += "user root\n"
        shutil.copy(shipped / "glomska.acl", self.directory)
        (self.directory / "mosquitto.conf").write_text(own + text)
        return ["-c", str(self.directory / "mosquitto.conf")]

    def answers(self) -> bool:
        """Connections are accepted at both ports."""
        return accepts(self.port) and accepts(self.mtls_port)


class InfluxDB1(Server):
    """InfluxDB 1.6: series index on disk, no limit on series, no query log, nothing reported home."""

    program, package = "influxd", "influxdb"

    def __init__(self, *, port: int = 0, database: str | None = None, log_level: str = "warn") -> None:
        """`database` is created at the first start."""
        super().__init__(port=port)
        self._database = database
        self._log_level = log_level

    @property
    def url(self) -> str:
        """The gateway's store URL, `influxdb1+http://127.0.0.1:PORT[/DATABASE]`; see `http_url`."""
        return f"influxdb1+{self.http_url}" + (f"/{self._database}" if self._database else "")

    @property
    def http_url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Return when it answers and the database exists."""
        super().start()
        if self._database is not None:
            self.create_database(self._database)
        return self

    def create_database(self, name: str) -> None:
        """Create, if it does not exist."""
        self.query(f'CREATE DATABASE "{name}"')

    def query(self, statement: str, database: str = "") -> bytes:
        """JSON answer to an InfluxQL statement, times in ns."""
        form = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "ns"})
        return http(f"{self.http_url}/query", data=form.encode())

    def logs_cut(self) -> int:
        """How often it found its write-ahead log damaged when it started. Needs the log level "info"."""
        return (self.directory / "log").read_text(errors="replace").count('msg="File corrupt"')

    def backup(self, directory: Path) -> None:
        """A backup of its database; what its write-ahead log holds it writes out first."""
        command = [self._binary(), "backup", "-portable", "-host", f"127.0.0.1:{self._rpc}"]
        command += ["-database", str(self._database), str(directory)]
        subprocess.run(command, check=True, capture_output=True)

    def arguments(self) -> list[str]:
        """See `influxd config`."""
        path = self.directory / "influxdb.conf"
        self._rpc = free_port()
        places = {"directory": self.directory, "port": self.port, "rpc": self._rpc}
        path.write_text(_INFLUXDB1.format(**places, level=self._log_level), encoding="utf-8")
        return ["-config", str(path)]

    def answers(self) -> bool:
        """`/ping` is answered."""
        return answers(f"{self.http_url}/ping")


_INFLUXDB1 = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{directory}/meta"
[data]
  dir = "{directory}/data"
  wal-dir = "{directory}/wal"
  index-version = "tsi1"
  max-series-per-database = 0
  max-values-per-tag = 0
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[logging]
  level = "{level}"
"""


class VictoriaMetrics(Server):
    """VictoriaMetrics 1.79: times as distinct as they were written, and everything kept."""

    program, package = "victoria-metrics", "victoria-metrics"

    def arguments(self) -> list[str]:
        """See `victoria-metrics -help`."""
        return [
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self.directory / 'data'}",
            "-dedup.minScrapeInterval=1ms",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
            "-search.maxUniqueTimeseries=1000000",
            "-loggerLevel=WARN",
        ]

    def flush(self) -> None:
        """Make what was written visible to queries now."""
        http(f"{self.url}/internal/force_flush")

    def answers(self) -> bool:
        """`/health` is answered."""
        return answers(f"{self.url}/health")
