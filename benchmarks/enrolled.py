"""A key store with many customers and their devices, as enrolment leaves it, in a minute where enrolment takes many.

The first customer is enrolled. The others' rows are made with the same cryptography and go straight into the tables:
without acts, ledger lines and fsyncs, and with the indices made in the end. For measurements only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.clock import SystemClock
from gateway.control.enrolment import Enrolment, enrol
from gateway.control.ledger import Ledger
from gateway.control.role import Control
from gateway.crypto import aead, derive, envelope
from gateway.crypto.derive import Kind
from gateway.crypto.envelope import CskPlaces, RecordPlaces, RowKind, RowPlace, Wrapping
from gateway.keys.custodian import FileCustodian
from gateway.keys.subject import CUSTOMER, DEVICE
from gateway.keystore import lineages
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.ids import Controller, Incarnation, KeyId, RecordId, parse_customer, parse_device
from gateway.policy.rules import Policy

_TOGETHER = 5_000  # customers whose rows are in memory
_TABLES = {"incarnations": 3, "keys": 11, "transitions": 4, "routes": 9, "records": 7}  # and their columns
_AREA = "SE3"

Rows = dict[str, list[tuple[Any, ...]]]


def fill(  # noqa: PLR0913 - what a key store is filled with
    state: Path,
    controller: Controller,
    policy: Policy,
    *,
    customers: int,
    devices: int = 1,
    valid_from: int | None = None,
) -> None:
    """`customer-0000` and so on, in a new key store with a file custodian.

    `devices` of each, in turn: `device-0000` is the first customer's first, `device-0001` the second's. They are theirs
    from `valid_from` on, UTC ns; from now on, unless it is said.
    """
    clock, custodian = SystemClock(), FileCustodian(state / "kek")
    since = clock.wall() if valid_from is None else valid_from
    keystore = KeyStore.open("sqlite:///keys.db", state=state)
    first = [
        Enrolment(
            line=line,
            controller=controller,
            customer=parse_customer("customer-0000"),
            device=parse_device(f"device-{number:04}"),
            area=_AREA,
            valid_from=since,
        )
        for line, number in enumerate(range(0, customers * devices, customers))
    ]
    enrol(Control(keystore, Ledger(state / "ledger", clock), clock), custodian, policy, first)
    with keystore.snapshot() as tx:
        makes = _Customers(tx, custodian, controller, customers, devices, now=clock.wall(), since=since)
    path = keystore.path
    keystore.close()
    with _unguarded(path) as connection:
        together = max(_TOGETHER // devices, 1)
        for start in range(1, customers, together):
            made = makes.rows(range(start, min(start + together, customers)))
            for table, columns in _TABLES.items():
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", made[table])  # noqa: S608


class _Customers:
    """Their rows, in the order of the columns in `keystore.schema`."""

    def __init__(  # noqa: PLR0913 - whom they are for
        self,
        tx: Transaction,
        custodian: FileCustodian,
        controller: Controller,
        customers: int,
        devices: int,
        *,
        now: int,
        since: int,
    ) -> None:
        (wrapped,) = lineages.find_keks(tx, controller).values()
        kek = custodian.unwrap(controller, 1, wrapped)
        (route,) = lineages.find_secrets(tx, controller, RowKind.ROUTE)
        place = RowPlace(controller=controller, kind=RowKind.ROUTE, key_id=route.key_id, version=route.version)
        self._hash = derive.route_hasher(envelope.unwrap(kek, route.wrapped, place), controller=controller)
        self._wrap = Wrapping(kek).wrap
        self._csk_aad, self._record_aad = CskPlaces(controller).aad, RecordPlaces(controller).aad
        self._record_keys = derive.RecordKeys(controller)
        self._controller, self._now, self._since = controller, now, since
        self._customers, self._devices = customers, devices
        self._horizons = lineages.find_horizons(tx, controller)

    def rows(self, numbers: Sequence[int]) -> Rows:
        """All rows of some customers, by table."""
        made: Rows = {table: [] for table in _TABLES}
        for number in numbers:
            incarnation = Incarnation(secrets.token_bytes(16))
            made["incarnations"].append((incarnation, self._controller, self._now))
            identity = b""
            for name, base in self._horizons.items():
                csk = secrets.token_bytes(derive.KEY_BYTES)
                self._key(made, csk, incarnation, name, base)
                identity = csk if name == "identity" else identity
            self._add_identity(made, incarnation, identity, number)
        return made

    def _add_identity(self, made: Rows, incarnation: Incarnation, identity: bytes, number: int) -> None:
        customer = f"customer-{number:04}"
        self._route(made, incarnation, Kind.CUSTOMER, customer)
        self._record(made, identity, incarnation, CUSTOMER, {"customer": customer})
        for device_number in range(number, self._customers * self._devices, self._customers):
            device = f"device-{device_number:04}"
            route_id = self._route(made, incarnation, Kind.DEVICE, device)
            self._record(made, identity, incarnation, DEVICE, {"device": device, "route": route_id.hex()})

    def _key(self, made: Rows, csk: bytes, incarnation: Incarnation, name: str, base: int) -> None:
        key_id = KeyId(secrets.token_bytes(16))
        (nonce,) = aead.random_nonces(1)
        wrapped = self._wrap(nonce, csk, self._csk_aad(key_id, incarnation, name, 1, base))
        commit = derive.commitment(csk, key_id=key_id, version=1, base=base)
        row = (key_id, incarnation, self._controller, name, 1, base, 1, wrapped, commit, "active", 0)
        made["keys"].append(row)
        made["transitions"].append((None, key_id, "active", self._now))

    def _route(self, made: Rows, incarnation: Incarnation, kind: Kind, name: str) -> bytes:
        route_id, since = secrets.token_bytes(16), self._since if kind is Kind.DEVICE else 0
        mark = self._hash(kind, name)
        made["routes"].append((route_id, self._controller, kind, mark, 1, incarnation, _AREA, since, None))
        return route_id

    def _record(self, made: Rows, csk: bytes, incarnation: Incarnation, kind: str, body: dict[str, str]) -> None:
        record_id = RecordId(secrets.token_bytes(16))
        key = self._record_keys.of(csk, version=1, kind=kind, epoch=0)
        aad = self._record_aad(incarnation, "identity", 1, 0, kind, record_id)
        sealed = derive.u8(envelope.FORMAT) + aead.seal(key, msgspec.json.encode(body), aad)
        made["records"].append((record_id, incarnation, "identity", 1, 0, kind, sealed))


@contextlib.contextmanager
def _unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction over the whole file, which nothing protects from a crash."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
        connection.execute(f"PRAGMA {pragma}")
    indices = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    made = indices.fetchall()
    connection.execute("BEGIN")
    for name, _sql in made:
        connection.execute(f"DROP INDEX {name}")
    yield connection
    for _name, sql in made:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())  # or the first act to be measured waits for all of it to be written
