"""The only place where readings and identity data are opened: for a purpose, with an entry in the access log.

    table = access.read(controller, customer, purpose="support", start=…, end=…)

A purpose must be declared, and live for this customer; it sees its own quantities only, no finer than its resolution.
A dead letter shows a whole message, so only a purpose that sees everything as measured opens one.
Who reads holds a lease like any worker, so an erasure waits for a read that is under way, and nothing is handed out
that was opened after the key was gone. Of a device that changed hands each owner sees their own event times.

    for table in access.follow(…): …            # what is there, then what arrives; until the caller closes it
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from gateway.clock import Clock
from gateway.control import customer as customers
from gateway.control.access_log import log_access
from gateway.control.columns import Columns
from gateway.control.following import News
from gateway.errors import LeaseOver, Refused, VerificationFailed
from gateway.keys.custodian import Custodian
from gateway.keys.handle import SeriesKey, SubjectKey
from gateway.keys.lease import Lease
from gateway.keys.letters import open_letter
from gateway.keys.subject import Subject, find_choices, find_devices, open_subject
from gateway.keystore import subjects, workers
from gateway.keystore.database import KeyStore
from gateway.model.clear import pack_plan, unpack
from gateway.model.dead import DeadLetter
from gateway.model.ids import NO_INCARNATION, Controller, CustomerId, DeviceId, Incarnation, KeyEpoch, epoch_of
from gateway.model.letter import Letter
from gateway.model.sealed import SealedPoint, parse_clear_field, parse_sealed_field
from gateway.model.table import Table
from gateway.policy.consent import Choice, in_force, may_read
from gateway.policy.rules import Mode, Policy, Purpose

_SECOND = 1_000_000_000
_LAST = 2**63 - 1  # the end of time, for a store
_LOST = "nobody can read what it sealed; `glomska keys rekey` gives this customer a new one for what comes from now on"
_LOOK = 4096  # points between looks at the lease, which are opened together


class Readable(Protocol):
    """A store of the inventory, as access needs it."""

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """Stored fields of these series with start <= time < end. Raises Unreachable."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """One customer, opened under a lease, as of one generation: devices, and the event times that each was theirs."""

    subject: Subject
    owned: dict[DeviceId, list[tuple[int, int]]]
    generation: int


class Access:
    """Reads for a purpose, over one key store and one store of readings."""

    def __init__(  # noqa: PLR0913 - what wiring hands to it
        self,
        keystore: KeyStore,
        custodian: Custodian,
        policy: Policy,
        store: Readable,
        clock: Clock,
        *,
        lease_s: float,
    ) -> None:
        self._keystore = keystore
        self._custodian = custodian
        self._policy = policy
        self._store = store
        self._clock = clock
        self._lease_s = lease_s

    def read(self, controller: Controller, customer: CustomerId, *, purpose: str, start: int, end: int) -> Table:
        """A customer's readings with start <= event time < end (ns).

        Raises:
            Refused: the purpose is not declared, or not live for this customer.
            UnknownSubject, KeyDestroyed: there is nobody to read of, or nobody any more.
            VerificationFailed: a stored reading does not open.
            CustodianFault, LeaseOver, Unreachable: nothing was read.
        """
        start, end = max(start, 0), min(end, _LAST)
        lease = Lease(self._keystore, self._clock, lease_s=self._lease_s, deadline_s=0)
        lease.register()
        try:
            opened = self._open(controller, customer, purpose)
            table = self._table(opened, purpose, lease, start, end)
            lease.require()
            if lease.look() != opened.generation:
                self._still_living(opened.subject.incarnation)
            self._log(controller, opened.subject.incarnation, purpose, start, end, len(table))
        finally:
            lease.leave()
        return table

    def letter(self, letter: DeadLetter, *, purpose: str) -> Letter:
        """A dead letter, opened.

        Raises:
            Refused: the purpose is not declared, does not see whole messages, or is not live for this customer, of whom
                nothing may be known; or they are suspended.
            KeyDestroyed: the customer was erased, or the day's key has had its days.
            VerificationFailed: it does not open.
            CustodianFault, LeaseOver, Unreachable: nothing was read.
        """
        _sees_messages(self._policy, purpose)
        lease = Lease(self._keystore, self._clock, lease_s=self._lease_s, deadline_s=0)
        generation = lease.register()
        try:
            with self._keystore.snapshot() as tx:
                lineage = customers.open_lineage(tx, self._custodian, Controller(letter.controller))
                row = subjects.find_keys_by_id(tx, [letter.key_id]).get(letter.key_id)
                choices: list[Choice] = []
                if row is not None:
                    customer = open_subject(lineage, row.incarnation, customers.living_keys(tx, row.incarnation))
                    choices = find_choices(tx, customer)
                may_read(self._policy, purpose, in_force(choices, self._clock.wall()))
                opened = Letter.of(letter, open_letter(tx, lineage, row, letter))
            lease.require()
            if lease.look() != generation:
                message = "keys have changed meanwhile"
                raise LeaseOver(message, hint="repeat it")
            whose = NO_INCARNATION if row is None else row.incarnation
            self._log(Controller(letter.controller), whose, purpose, letter.arrived, letter.arrived + 1, 1)
        finally:
            lease.leave()
        return opened

    def follow(  # noqa: PLR0913 - what is read, and how often is looked
        self, controller: Controller, customer: CustomerId, *, purpose: str, start: int, poll_s: float, every_s: float
    ) -> Generator[Table]:
        """A customer's readings from event time `start` (ns) on, each once, as they arrive; see `following`.

        The store is looked at every `every_s` seconds, with purpose and keys asked for anew; between two looks no key
        is held. The generation is looked at every `poll_s`, and when it has moved, all is asked for at once. The first
        table may be empty. Close the generator to give the lease up.

        Raises:
            KeyDestroyed: the customer was erased meanwhile.
            and what `read` raises.
        """
        news = News(self._policy.purpose(purpose).resolution, start=max(start, 0))
        lease = Lease(self._keystore, self._clock, lease_s=self._lease_s, deadline_s=0)
        acknowledged, due, begun = lease.register(), 0, False
        try:
            while True:
                generation = lease.look()
                if generation != acknowledged:
                    lease.acknowledge(generation)
                    acknowledged, due = generation, 0
                lease.renew_if_due()
                lease.require()
                if self._clock.boottime() >= due:
                    table = self._fresh(news, lease, controller, customer, purpose, even_nothing=not begun)
                    if table is not None:
                        begun = True
                        yield table
                    due = self._clock.boottime() + int(every_s * _SECOND)
                time.sleep(poll_s)
        finally:
            lease.leave()

    def _fresh(  # noqa: PLR0913
        self,
        news: News,
        lease: Lease,
        controller: Controller,
        customer: CustomerId,
        purpose: str,
        *,
        even_nothing: bool,
    ) -> Table | None:
        """What is new, logged; None for nothing, and when keys have moved, so that all must be asked again."""
        opened, now = self._open(controller, customer, purpose), self._clock.wall()
        until = now + (self._policy.future_window_s + 1) * _SECOND
        table = self._table(opened, purpose, lease, news.since(now), until)
        lease.require()
        if lease.look() != opened.generation:
            return None
        fresh = news.of(table, now)
        if not len(fresh) and not even_nothing:
            return None
        self._log(controller, opened.subject.incarnation, purpose, *news.span(fresh, now), len(fresh))
        return fresh

    def _table(self, opened: _Opened, purpose: str, lease: Lease, start: int, end: int) -> Table:
        return _Reader(self._policy, self._policy.purpose(purpose), opened, self._store, lease).table(start, end)

    def _open(self, controller: Controller, customer: CustomerId, purpose: str) -> _Opened:
        self._policy.purpose(purpose)
        with self._keystore.snapshot() as tx:
            generation = workers.generation(tx)
            lineage = customers.open_lineage(tx, self._custodian, controller)
            incarnation = customers.find_incarnation(tx, lineage, customer)
            subject = open_subject(lineage, incarnation, customers.living_keys(tx, incarnation))
            may_read(self._policy, purpose, in_force(find_choices(tx, subject), self._clock.wall()))
            routes = {route.route_id: route for route in subjects.routes_of(tx, incarnation)}
            owned: dict[DeviceId, list[tuple[int, int]]] = {}
            for device in find_devices(tx, subject):
                route = routes[device.route_id]
                ends = _LAST if route.valid_to is None else route.valid_to
                owned.setdefault(device.device, []).append((route.valid_from, ends))
        return _Opened(subject, owned, generation)

    def _still_living(self, incarnation: Incarnation) -> None:
        with self._keystore.snapshot() as tx:
            customers.living_keys(tx, incarnation)

    def _log(  # noqa: PLR0913, PLR0917 - the parts of an entry
        self, controller: Controller, incarnation: Incarnation, purpose: str, start: int, end: int, readings: int
    ) -> None:
        with self._keystore.act() as tx:
            log_access(
                tx,
                at=self._clock.wall(),
                purpose=purpose,
                controller=controller,
                incarnation=incarnation,
                starts=start,
                ends=end,
                readings=readings,
            )


def _sees_messages(policy: Policy, purpose: str) -> None:
    """Raises Refused for a purpose that is not declared, or that sees less than a whole message."""
    declared = policy.purpose(purpose)
    if declared.resolution or any(quantity.name not in declared.quantities for quantity in policy.quantities):
        message = f"{purpose}: does not see all quantities as measured, and a dead letter is a whole message"
        raise Refused(message, hint="name a purpose with every quantity and resolution = 0, such as support")


@dataclass(frozen=True, slots=True)
class _Run:
    """Opened readings of one device (by index), field and revision."""

    device: int
    revision: int
    times: list[int]
    opened: list[bytes]


class _Reader:
    """One read: pseudonyms out, stored fields in, values opened and put in order."""

    def __init__(self, policy: Policy, purpose: Purpose, opened: _Opened, store: Readable, lease: Lease) -> None:
        self._policy = policy
        self._purpose = purpose
        self._opened = opened
        self._store = store
        self._lease = lease
        self._wanted = {q.number: q for q in policy.quantities if q.name in purpose.quantities}
        self._columns = Columns()

    def table(self, start: int, end: int) -> Table:
        """All readings of the purpose's quantities, one a device, time and quantity: the newest revision."""
        for measurement in sorted({q.key_class for q in self._wanted.values()}):
            if measurement in self._opened.subject.lost:
                message = f"this customer's key of class {measurement} was given up as lost"
                raise VerificationFailed(message, hint=_LOST)
            named = self._series(self._opened.subject.keys.get(measurement, ()), start, end)
            sealed: dict[int, list[_Run]] = {}
            for points in self._kept_up(self._store.query(measurement, list(named), start, end)):
                for (pseudonym, field), (times, values) in self._by_field(named, points).items():
                    device, key = named[pseudonym]
                    mask, revision = parse_sealed_field(field)
                    opened = key.open_rows(field, times, revision, values)
                    sealed.setdefault(mask, []).append(_Run(device, revision, times, opened))
            for mask, runs in sealed.items():
                self._take_sealed(mask, runs)
        return self._columns.table(self._policy, self._opened.owned, self._purpose.resolution)

    def _by_field(
        self, named: Mapping[str, tuple[int, SeriesKey]], points: Sequence[SealedPoint]
    ) -> dict[tuple[str, str], tuple[list[int], list[str]]]:
        """Times and sealed values by series and field; clear ones are taken at once."""
        found: dict[tuple[str, str], tuple[list[int], list[str]]] = {}
        for point in points:
            if not point.value:
                self._take_clear(named[point.series.pseudonym][0], point)
                continue
            place = (point.series.pseudonym, point.field)
            column = found.get(place)
            if column is None:
                column = found[place] = ([], [])
            column[0].append(point.time)
            column[1].append(point.value)
        return found

    def _series(self, versions: Sequence[SubjectKey], start: int, end: int) -> dict[str, tuple[int, SeriesKey]]:
        """Pseudonym to (index of device, its key), for every version and live epoch that the interval touches."""
        return {
            series.series.pseudonym: (number, series)
            for key in versions
            for epoch in range(max(key.base, epoch_of(max(start, 0))), epoch_of(max(end - 1, 0)) + 1)
            for number, device in enumerate(self._opened.owned)
            for series in (key.series(device, KeyEpoch(epoch), area="", schema=self._policy.schema),)
        }

    def _kept_up(self, points: Iterator[SealedPoint]) -> Iterator[list[SealedPoint]]:
        """The points in parts, with the lease renewed on the way: a long read may take longer. Raises LeaseOver."""
        while part := list(islice(points, _LOOK)):
            self._lease.renew_if_due()
            self._lease.require()
            yield part

    def _take_sealed(self, mask: int, runs: Sequence[_Run]) -> None:
        held = [q for q in self._policy.quantities if mask >> q.number & 1]
        scales, dtype = pack_plan(tuple(q.decimals for q in held), tuple(q.wide for q in held))
        if mask.bit_count() != len(held) or {len(plain) for run in runs for plain in run.opened} != {dtype.itemsize}:
            message = "a stored reading holds quantities that this policy does not know"
            raise VerificationFailed(message, hint="read with the policy it was written under, or a later one")
        values = unpack(b"".join([plain for run in runs for plain in run.opened]), scales, dtype)
        sizes = [len(run.times) for run in runs]
        place = np.empty((3, len(values)), dtype=np.int64)
        place[0] = np.repeat([run.device for run in runs], sizes)
        place[1] = np.concatenate([np.array(run.times, dtype=np.int64) for run in runs])
        place[2] = np.repeat([run.revision for run in runs], sizes)
        for column, quantity in enumerate(held):
            if quantity.number in self._wanted:
                self._columns.add(place, mask, quantity, values[:, column])

    def _take_clear(self, device: int, point: SealedPoint) -> None:
        for field, value in point.clear:
            name, revision = parse_clear_field(field)
            quantity = self._policy.by_name.get(name)
            if quantity is not None and quantity.number in self._wanted and quantity.mode is Mode.CLEAR:
                place = np.array([[device], [point.time], [revision]], dtype=np.int64)
                self._columns.add(place, 0, quantity, np.array([value]))
