"""The key store: transactions, migrations, and what can be proven of deleted rows, on SQLite or PostgreSQL.

Three kinds of access and no fourth:

    snapshot    one consistent state of the primary, to read from
    act         one transaction that happens whole or not at all, serialised with every other act
    attend      one transaction about a worker's own row: it waits for acts, not for other workers

`keystore.sqlite` and `keystore.postgresql` say how each is had there; everything above is the same for both.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection as Transaction
from sqlalchemy.engine import Engine

from gateway.errors import ConfigurationFault, GlomskaError, NotThere
from gateway.keystore import migrations
from gateway.keystore.sqlite import Sqlite

__all__ = ["KeyStore", "Transaction"]


class Backend(Protocol):
    """What differs between databases."""

    engine: Engine
    path: Path | None
    reads: ClassVar[dict[str, Any]]
    writes: ClassVar[dict[str, Any]]
    residue: ClassVar[str]

    def take_turn(self, tx: Transaction, *, alone: bool) -> None: ...
    def version(self, tx: Transaction) -> int: ...
    def set_version(self, tx: Transaction, version: int) -> None: ...
    def wrapped(self, fault: sa.exc.SQLAlchemyError) -> GlomskaError: ...
    def weaknesses(self) -> list[str]: ...
    def wait(self, stop: threading.Event, seconds: float) -> bool: ...
    def scrub(self, traces: Sequence[bytes]) -> int: ...
    def behind(self, names: Sequence[str], written: str) -> list[str]: ...
    def written(self) -> str: ...
    def close(self) -> None: ...


class KeyStore:
    """An open key store. One an application; its methods may be called from any thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.residue = backend.residue
        """Where deleted rows may still be until the next turnover, in words for a certificate; empty for nowhere."""

    @property
    def path(self) -> Path:
        """The file of an SQLite key store. Raises ConfigurationFault for another."""
        if self._backend.path is None:
            message = "keys.url: this can be done with a key store in a file only"
            raise ConfigurationFault(message)
        return self._backend.path

    @classmethod
    def open(cls, url: str, *, state: Path, create: bool = True, password: bytes | None = None) -> KeyStore:
        """Open, and bring the schema up to date.

        Args:
            url: `sqlite:///keys.db`, relative to `state` (four slashes for an absolute path), or
                `postgresql://USER@HOST:PORT/DATABASE`.
            state: the state directory; created with mode 0700 when it is absent and needed.
            create: whether a key store that is not there is made.
            password: of the PostgreSQL user, when it needs one.

        Raises:
            ConfigurationFault: another scheme, or (NotThere) nothing there.
            Unreachable: the file cannot be opened or written, or the server does not answer.
            IntegrityStop: it is not a key store, or of a newer version.
        """
        store = cls(_backend(url, state, create=create, password=password))
        try:
            with store.act() as tx:
                store._migrate(tx, create=create)
        except BaseException:
            store.close()
            raise
        return store

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """One consistent state to read from."""
        with self._transaction(self._backend.reads) as tx:
            yield tx

    @contextlib.contextmanager
    def act(self) -> Iterator[Transaction]:
        """One transaction that may write; commits when the block ends, rolls back when it raises."""
        with self._transaction(self._backend.writes) as tx:
            self._backend.take_turn(tx, alone=True)
            yield tx

    @contextlib.contextmanager
    def attend(self) -> Iterator[Transaction]:
        """One transaction that writes nothing but a worker's own row, and sees the generation that holds meanwhile."""
        with self._transaction(self._backend.writes) as tx:
            self._backend.take_turn(tx, alone=False)
            yield tx

    def scrub(self, traces: Sequence[bytes]) -> int:
        """Prove that none of `traces` is left in the files, where that can be proven; where not, `residue` says so.

        The number of traces that were looked for.

        Raises:
            Unreachable: a reader held the log for too long; call again.
            IntegrityStop: a trace is still in a file.
        """
        with self._foreign_errors():
            return self._backend.scrub(traces)

    def copy_to(self, file: Path) -> None:
        """A whole copy of the key store as it is now, as a key store in a file. Raises Unreachable."""
        if isinstance(self._backend, Sqlite):
            with self._foreign_errors():
                self._backend.copy_to(file)
            return
        from gateway.keystore.copying import copy_rows  # noqa: PLC0415 - which is about two of us

        copy = KeyStore.open(f"sqlite:////{str(file.absolute()).lstrip('/')}", state=file.parent)
        try:
            copy_rows(self, copy)
        finally:
            copy.close()

    def written(self) -> str:
        """How far everything is that was committed until now, for `behind`. Raises Unreachable."""
        with self._foreign_errors():
            return self._backend.written()

    def behind(self, names: Sequence[str], written: str) -> list[str]:
        """Which of these standbys, all connected, have not replayed that yet.

        Raises:
            ConfigurationFault: nobody may look, or there are no standbys of such a key store.
            Unreachable: one is not connected.
        """
        with self._foreign_errors():
            return self._backend.behind(names, written)

    def weaknesses(self) -> list[str]:
        """Settings of the database under which what was committed can be lost. Raises Unreachable."""
        with self._foreign_errors():
            return self._backend.weaknesses()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until it is time to look for a new generation: told of one (True), stopped, or the time is up.

        For one thread. Where nobody tells, or cannot be heard, it is the time alone.
        """
        return self._backend.wait(stop, seconds)

    def close(self) -> None:
        """Let go of all connections."""
        self._backend.close()

    @contextlib.contextmanager
    def _transaction(self, options: dict[str, Any]) -> Iterator[Transaction]:
        with self._foreign_errors(), self._backend.engine.connect() as raw:
            connection = raw.execution_options(**options)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def _foreign_errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as fault:
            raise self._backend.wrapped(fault) from None

    def _migrate(self, tx: Transaction, *, create: bool) -> None:
        version = self._backend.version(tx)
        if not (version or create):
            message = "there is no key store in the database of keys.url"
            raise NotThere(message, hint="name the right database; `glomska enrol` makes a new key store")
        newest = migrations.migrate(tx, version, found=set(sa.inspect(tx).get_table_names()))
        if newest != version:
            self._backend.set_version(tx, newest)


def _backend(url: str, state: Path, *, create: bool, password: bytes | None) -> Backend:
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/":
        return Sqlite(state / rest[1:], create=create)
    if scheme == "postgresql":
        from gateway.keystore.postgresql import Postgresql  # noqa: PLC0415 - psycopg takes long to load

        return Postgresql(url, password)
    message = "keys.url: only sqlite:///FILE and postgresql://USER@HOST:PORT/DATABASE are known"
    raise ConfigurationFault(message)
