"""A PostgreSQL of the tests' own: a cluster in a temporary directory, on loopback, and a database for each who asks.

    with Postgres() as server:
        url = server.database()             # empty, of user "glomska", who needs `server.password`
        copy = server.database(like=url)    # as another one is now; nobody may be connected to that
        Postgres.joined(server.directory)   # in another process, which only wants databases

It is fast, not durable, unless told: `Postgres(durable=True)`. Programs come from Debian's `postgresql`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import psycopg

from gateway.transport.broker import free_port

USER = "glomska"
PASSWORD = "lösenord: inte hemligt"  # of a cluster that lives for one test run
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
_LEAN = ("shared_buffers=16MB", "max_connections=100", "jit=off", "autovacuum=off", "listen_addresses=127.0.0.1")
_BOUND_S = 120.0
_MOVES = 5
_TAKEN = "Address already in use"


def programs() -> Path:
    """Where the newest PostgreSQL's programs are: Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise RuntimeError("PostgreSQL is missing: .ci/debian postgresql")
    return found[-1]


class Postgres:
    """One cluster, stopped and removed at the end."""

    password = PASSWORD.encode()

    def __init__(
        self,
        *,
        durable: bool = False,
        settings: tuple[str, ...] = (),
        address: str = "127.0.0.1",
        segment_mb: int = 16,
        inside: Sequence[str] = (),
    ) -> None:
        """`inside`: words in front of the server's command, by root, as for another network namespace."""
        self._inside = inside
        self._segment_mb = segment_mb
        self._settings = (*_LEAN, *(() if durable else _FAST), *settings)
        self.address = address
        self._names = (f"keys{n}_{secrets.token_hex(4)}" for n in itertools.count())
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # as whom the server refuses to run
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}

    @classmethod
    def joined(cls, directory: Path) -> Self:
        """One that another process has started, and stops."""
        made = cls()
        made.directory, made.data = directory, directory / "data"
        made.port = int((made.data / "postmaster.pid").read_text().splitlines()[3])
        return made

    def __enter__(self) -> Self:
        if hasattr(self, "data"):  # a standby, which is there
            return self
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.directory / "data"
        (self.directory / "archive").mkdir()  # for those whose settings fill it
        if self._as:
            for made in (self.directory, self.directory / "archive"):
                shutil.chown(made, "postgres", "postgres")
        with tempfile.NamedTemporaryFile("w", dir=self.directory) as secret:
            secret.write(PASSWORD)
            secret.flush()
            if self._as:
                shutil.chown(secret.name, "postgres")
            self._run(
                "initdb",
                *("--pgdata", self.data, "--username", USER, "--pwfile", secret.name, "--no-sync"),
                *(
                    "--auth-host=scram-sha-256",
                    "--auth-local=trust",
                    "--encoding=UTF8",
                    "--no-locale",
                    f"--wal-segsize={self._segment_mb}",
                ),
            )
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write("host all all 10.77.0.0/16 scram-sha-256\n")  # of network namespaces
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGQUIT)  # at once: nothing of it is kept
        shutil.rmtree(self.directory, ignore_errors=True)

    def standby(self, name: str) -> Postgres:
        """A streaming standby of this one, started; `with` stops and removes it."""
        made = Postgres(settings=(f"cluster_name={name}",), address=self.address)
        made.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        made.data = made.directory / "data"
        if self._as:
            shutil.chown(made.directory, "postgres", "postgres")
        parts = f"host={self.directory} port={self.port} user={USER} application_name={name}"
        self._run("pg_basebackup", "-d", parts, "-D", made.data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
        made.start()
        return made

    def start(self) -> None:
        """Start, on the port it had before if any, and wait until it answers.

        A port that was free when it was chosen may be taken by now; at the first start others are tried.
        """
        moves = 0 if hasattr(self, "port") else _MOVES
        if moves:
            self.port = free_port()
        while not self._launched():
            said = (self.directory / "log").read_text()[-2000:]
            if not moves or _TAKEN not in said:
                raise RuntimeError(said)
            self.port, moves = free_port(), moves - 1

    def _launched(self) -> bool:
        """Whether it answers; otherwise it has ended, or does not begin."""
        options = [part for setting in self._settings for part in ("-c", setting)]
        with (self.directory / "log").open("ab") as log:
            runs_as = self._as
            before = [*self._inside]
            if self._inside:
                before += ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
                runs_as = {}
            self._process = subprocess.Popen(
                [
                    *before,
                    programs() / "postgres",
                    "-D",
                    self.data,
                    "-p",
                    str(self.port),
                    "-k",
                    self.directory,
                    *options,
                ],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                **runs_as,
            )
        deadline = time.monotonic() + _BOUND_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.sql("SELECT 1")
                return True
            if self._process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.02)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it: SIGKILL as a crash, SIGINT in order, SIGQUIT at once."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_BOUND_S)
        if how is signal.SIGKILL:  # its children notice, and hold the data directory until then
            deadline = time.monotonic() + _BOUND_S
            while self._children() and time.monotonic() < deadline:
                time.sleep(0.02)

    def database(self, *, like: str | None = None) -> str:
        """URL of a new database, empty or a copy. Its user needs `password`."""
        url = self.url(next(self._names))
        self.create(url, like=like)
        return url

    def create(self, url: str, *, like: str | None = None) -> None:
        """A database of a name of one's own."""
        name, template = (each.rpartition("/")[2] for each in (url, like or "/template1"))
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def has(self, url: str) -> bool:
        """Whether there is such a database."""
        name = url.rpartition("/")[2]
        return bool(self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))  # noqa: S608

    def url(self, name: str) -> str:
        """Where a database of that name is, or would be."""
        return f"postgresql://{USER}@{self.address}:{self.port}/{name}"

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """A statement by the operator, over the cluster's own socket; `database` is a name or a URL."""
        where: dict[str, Any] = {
            "host": str(self.directory),
            "port": self.port,
            "user": USER,
            "dbname": database.rpartition("/")[2],
        }
        with psycopg.connect(**where, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def dump(self, url: str) -> str:
        """A database as SQL statements."""
        parts = ("--host", self.directory, "--port", str(self.port), "--username", USER)
        return self._run("pg_dump", *parts, "--no-owner", "--inserts", url.rpartition("/")[2])

    def load(self, url: str, script: Path) -> None:
        """Run a file of SQL statements."""
        parts = ("--host", self.directory, "--port", str(self.port), "--username", USER)
        with script.open() as stream:
            self._run("psql", *parts, "-q", "-v", "ON_ERROR_STOP=1", "-d", url.rpartition("/")[2], stdin=stream)

    def _run(self, program: str, *arguments: object, stdin: IO[str] | None = None) -> str:
        done = subprocess.run(
            [str(part) for part in (programs() / program, *arguments)],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            **self._as,
            stdin=stdin,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr[-2000:]}")
        return str(done.stdout)

    def _children(self) -> bool:
        assert self._process is not None
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if entry.read_bytes().startswith(b"postgres: ") and (entry.parent / "cwd").readlink() == self.data:
                    return True
        return False
