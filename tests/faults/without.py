"""The defences of gateway and fleet against faults, taken out one by one, in real processes: see `bite`.

    WITHOUT_DEFENCE=full_and_silent PYTHONPATH=tests/faults/lacking:. glomska run

Each function changes the process that calls it, for good.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from firmware_sim.connection import Connection as FleetConnection
from gateway.cli import run
from gateway.control import turnover
from gateway.control.guard import Verdict
from gateway.control.ledger import Ledger
from gateway.control.turnover import Turnovers
from gateway.errors import Unreachable
from gateway.keys.lease import Lease
from gateway.keystore import rows
from gateway.keystore.database import KeyStore
from gateway.model.ids import Controller
from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint
from gateway.pipeline.seal import Sealer
from gateway.runtime import spooling
from gateway.runtime.batch import Job
from gateway.runtime.roll import Roll
from gateway.runtime.writer import Writer
from gateway.transport import http
from gateway.transport.influx1 import Influx1Store
from gateway.transport.ingest import Tls, connection
from gateway.transport.ingest.session import Session
from gateway.transport.spool import Chunk, Spool, SpoolUnable
from gateway.transport.store import Portion

NAME = "WITHOUT_DEFENCE"
DEFENCES: dict[str, Callable[[], None]] = {}


def _enter(take_out: Callable[[], None]) -> Callable[[], None]:
    DEFENCES[take_out.__name__] = take_out
    return take_out


def _put(owner: Any, name: str, other: object) -> None:  # noqa: ANN401 - a class or a module
    setattr(owner, name, other)


@_enter
def acknowledged_before_it_is_stored() -> None:
    """What is about to be stored is acknowledged."""
    stored = Writer._stored

    def early(writer: Writer, jobs: list[Job]) -> bool:
        for job in jobs:
            writer._session.acknowledge(job.delivery.generation, list(job.delivery.tokens))
            job.delivery.tokens.clear()
        return stored(writer, jobs)

    _put(Writer, "_stored", early)


@_enter
def acknowledged_over_any_connection() -> None:
    """Nobody asks which connection a message came from."""
    _put(Session, "_is_current", staticmethod(lambda _generation, _current: True))


@_enter
def a_new_session_each_time() -> None:
    """Connecting again begins anew, and the broker drops what has waited."""
    _put(connection, "_connect", _clean(connection._connect))


def _clean(connect: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def clean(terms: Any) -> bytes:  # noqa: ANN401 - Terms
        packet = bytearray(connect(terms))
        packet[packet.index(b"MQTT\x05") + 5] |= 2  # MQTT 5, 3.1.2.4: Clean Start
        return bytes(packet)

    return clean


@_enter
def a_lost_connection_ends_it() -> None:
    """Nobody has thought of a broker that goes away."""

    def give_up(_session: Session, _wait_s: float) -> None:
        raise RuntimeError("the broker has gone away")

    _put(Session, "_reconnect", give_up)


@_enter
def a_lease_once_over_stays_over() -> None:
    """A lease is renewed while it holds."""
    renew = Lease.renew_if_due

    def only_while_it_holds(lease: Lease) -> None:
        if lease.holds():
            renew(lease)

    _put(Lease, "renew_if_due", only_while_it_holds)


@_enter
def whatever_the_store_says() -> None:
    """No answer, and any answer but yes, is taken for yes."""
    write = Influx1Store.write

    def believing(store: Influx1Store, points: Sequence[SealedPoint]) -> Outcome:
        try:
            return write(store, points)
        except Unreachable:
            return ACCEPTED

    _put(Influx1Store, "write", believing)


@_enter
def too_large_is_refused() -> None:
    """What the store finds too large is a dead letter, and not made smaller."""

    def refuse(_portion: Portion, points: Sequence[SealedPoint], sent: int) -> Outcome:
        return Outcome(rejected=dict.fromkeys(range(sent), Reason.STORE), kept=range(sent, len(points)))

    _put(Portion, "too_large", refuse)


@_enter
def deadlines_are_far() -> None:
    """A request may take a minute, however soon it was to be given up."""
    begin = http.Server.__init__

    def patient(server: http.Server, *address: Any, **terms: Any) -> None:  # noqa: ANN401 - as it is called
        begin(server, *address, **terms | {"timeout_s": 60.0})

    _put(http.Server, "__init__", patient)


@_enter
def drained_before_it_is_stored() -> None:
    """What was taken out of the spool is gone from it."""
    oldest = Spool.oldest

    def eager(spool: Spool, most: int) -> Chunk | None:
        chunk = oldest(spool, most)
        if chunk is not None:
            spool.settled(chunk)
        return chunk

    def once(drain: spooling.Spooling) -> None:
        points, drain._left = drain._left, []
        with contextlib.suppress(Unreachable):
            drain._behind.write(points)

    _put(Spool, "oldest", eager)
    _put(spooling.Spooling, "_send", once)


@_enter
def no_spool() -> None:
    """What the store cannot take the broker is to hold."""
    _put(spooling.Spooling, "_spooled", lambda both, points: both._store.write(points))


@_enter
def full_and_silent() -> None:
    """What the spool cannot take is dropped."""
    append = Spool.append

    def silent(spool: Spool, points: Sequence[SealedPoint]) -> None:
        with contextlib.suppress(SpoolUnable):
            append(spool, points)

    _put(Spool, "append", silent)


@_enter
def fsync_is_not_looked_at() -> None:
    """What the disk says to fsync is not read."""
    for name in ("fsync", "fdatasync"):
        _put(os, name, _unheard(getattr(os, name)))


def _unheard(sync: Callable[[int], None]) -> Callable[[int], None]:
    def deaf(file: int) -> None:
        with contextlib.suppress(OSError):
            sync(file)

    return deaf


@_enter
def refused_and_not_kept() -> None:
    """What is refused is counted and acknowledged, and gone."""
    _put(Writer, "_kept", lambda _writer, _batch: True)


@_enter
def leases_hold_for_ever() -> None:
    """Keys are used for as long as they are at hand."""
    _put(Lease, "holds", lambda _lease: True)


@_enter
def certificates_are_read_once() -> None:
    """What was read at the start is what there is."""
    _put(Tls, "refresh", lambda _tls: None)


@_enter
def the_custodian_comes_first() -> None:
    """The older wrapping key is destroyed before everything is under the newest."""
    begin = Turnovers.begin

    def hasty(passes: Turnovers, controller: Controller, **named: Any) -> rows.Turnover:  # noqa: ANN401
        found = begin(passes, controller, **named)
        passes._custodian.destroy(controller, found.e - 1)
        return found

    _put(Turnovers, "begin", hasty)


@_enter
def a_delivery_is_a_revision() -> None:
    """A point is named after the process that sealed it, and not by what it says alone."""
    points = Sealer._points
    _put(Sealer, "_points", lambda sealer, rows, shape, _revision: points(sealer, rows, shape, os.getpid()))


@_enter
def nobody_hears_a_hangup() -> None:
    """SIGHUP is left to do what it does to any process."""
    _put(run, "_HEARD", run._ENDING)


@_enter
def nobody_looks_for_who_has_gone() -> None:
    """A worker that there is no more keeps its place in the shared subscription, and its share."""
    _put(Roll, "left_behind", lambda _roll, **_now: [])


@_enter
def times_are_not_compared() -> None:
    """Any clock will do."""
    _put(turnover, "judge", lambda policy, now, **_times: Verdict(policy=policy, now=now, why=""))


@_enter
def the_ledger_is_not_looked_at() -> None:
    """What cannot be written into the ledger is done all the same."""
    write = Ledger._write

    def careless(path: Path, data: bytes) -> None:
        with contextlib.suppress(OSError):
            write(path, data)

    _put(Ledger, "_write", staticmethod(careless))


@_enter
def the_key_store_is_not_looked_at() -> None:
    """What cannot be written into the key store counts as done."""

    @contextlib.contextmanager
    def careless(_keystore: KeyStore) -> Iterator[None]:
        with contextlib.suppress(sa.exc.OperationalError):
            yield

    _put(KeyStore, "_foreign_errors", careless)


@_enter
def sent_is_delivered() -> None:
    """The fleet does not wait for the broker's word, and sends nothing again."""
    disconnected = FleetConnection._disconnected

    def careless(line: FleetConnection, *told: object) -> None:
        for message in line._in_flight.values():
            line._settled(message, True)
        line._in_flight.clear()
        line._client._out_messages.clear()
        disconnected(line, *told)

    _put(FleetConnection, "_disconnected", careless)
