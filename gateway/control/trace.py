"""What is known of a customer's devices, for `glomska trace`: ids and times, key states, fences; never a reading.

A trace is an access as a read is: its purpose must be declared and live for this customer, and it stands in the access
log at its beginning and at its end. It is also an act in the ledger, since who traces sees what has not been stored.

    traces = Traces(control, custodian, policy, store, lease_s=30)
    found = traces.begin(controller, customer, None, purpose="support", seconds=60)
    …                                           # look again when keys have moved: `traces.look`
    traces.end(controller, found, purpose="support", since=…, readings=12)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gateway.control import customer as customers
from gateway.control.access import Readable
from gateway.control.access_log import log_access
from gateway.control.role import Control
from gateway.errors import UnknownSubject, Unreachable
from gateway.keys.custodian import Custodian
from gateway.keys.lease import Lease
from gateway.keys.lineage import Kind, Lineage
from gateway.keys.subject import Subject, find_choices, find_devices, open_subject
from gateway.keystore import subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, DeviceId, Incarnation, KeyEpoch, KeyId, epoch_of, epoch_start
from gateway.policy.consent import in_force, may_read
from gateway.policy.rules import Policy

_SECOND = 1_000_000_000
_LAST = 2**63 - 1
_BACK_S = (3_600, 86_400, 31 * 86_400)  # how far back the newest stored reading is looked for, step by step
_LOOK = 1024  # points between looks at the lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A device for as long as it is or was this customer's; event times in ns.

    `fences` are intervals whose readings are refused as `erased`. `newest` is the latest stored event time of the last
    31 days; None where there is none, or the store did not answer.
    """

    device: DeviceId = field(repr=False)
    starts: int
    ends: int | None
    fences: tuple[tuple[int, int | None], ...]
    newest: int | None = None

    def holds(self, time: int) -> bool:
        """Whether the device is the customer's at this time."""
        return self.starts <= time < (_LAST if self.ends is None else self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One customer: `keys` has the state of each class's newest key; what is older than `horizon` is refused.

    `store` says why the store could not be asked, and is empty when it could.
    """

    incarnation: Incarnation
    key_ids: frozenset[KeyId]
    keys: dict[str, str]
    horizon: int
    devices: tuple[Known, ...]
    store: str = ""


class Traces:
    """Traces for a purpose, over one key store and one store of readings."""

    def __init__(
        self, control: Control, custodian: Custodian, policy: Policy, store: Readable, *, lease_s: float
    ) -> None:
        self._control = control
        self._keystore = control.keystore
        self._clock = control.clock
        self._custodian = custodian
        self._policy = policy
        self._store = store
        self._lease_s = lease_s

    def begin(
        self, controller: Controller, customer: CustomerId, device: DeviceId | None, *, purpose: str, seconds: int
    ) -> Found:
        """What is known, with the trace in ledger and access log. `device` narrows it to one.

        Raises:
            Refused: the purpose is not declared, or not live for this customer; or their key is suspended.
            UnknownSubject, KeyDestroyed: there is nobody to trace, or nobody any more.
            CustodianFault, IntegrityStop, LeaseOver, Unreachable, VerificationFailed: nothing was traced.
        """
        with self._leased() as lease:
            subject, found = self._found(controller, customer, device, purpose)
            now = self._clock.wall()
            incarnation = found.incarnation
            with self._control.act("trace", incarnation=incarnation.hex(), purpose=purpose, seconds=seconds) as act:
                self._log(act.tx, controller, incarnation, purpose, (now, now + seconds * _SECOND), 0)
            try:
                return self._dated(subject, found, lease)
            except Unreachable as fault:
                return replace(found, store=str(fault))

    def look(self, controller: Controller, customer: CustomerId, device: DeviceId | None, *, purpose: str) -> Found:
        """The same as of now, without the store and not logged again: for a trace under way. Raises as `begin`."""
        with self._leased():
            return self._found(controller, customer, device, purpose)[1]

    def end(self, controller: Controller, found: Found, *, purpose: str, since: int, readings: int) -> None:
        """The trace that began at `since` (ns) is over, and has shown so many messages. Raises Unreachable."""
        now = self._clock.wall()
        with self._keystore.act() as tx:
            self._log(tx, controller, found.incarnation, purpose, (since, now), readings)

    @contextlib.contextmanager
    def _leased(self) -> Iterator[Lease]:
        lease = Lease(self._keystore, self._clock, lease_s=self._lease_s, deadline_s=0)
        lease.register()
        try:
            yield lease
        finally:
            lease.leave()

    def _found(
        self, controller: Controller, customer: CustomerId, device: DeviceId | None, purpose: str
    ) -> tuple[Subject, Found]:
        self._policy.purpose(purpose)
        classes = [c.name for c in self._policy.classes_of_readings]
        with self._keystore.snapshot() as tx:
            lineage = customers.open_lineage(tx, self._custodian, controller)
            incarnation = customers.find_incarnation(tx, lineage, customer)
            rows = customers.living_keys(tx, incarnation)
            subject = open_subject(lineage, incarnation, rows)
            may_read(self._policy, purpose, in_force(find_choices(tx, subject), self._clock.wall()))
            devices = tuple(known for known in _devices(tx, lineage, subject) if device in {None, known.device})
        if device is not None and not devices:
            message = "this customer has and had no such device"
            raise UnknownSubject(message, hint="leave the device out to see those that the customer has")
        return subject, Found(
            incarnation=incarnation,
            key_ids=frozenset(row.key_id for row in rows),
            keys={row.key_class: row.state for row in rows if row.key_class in classes},
            horizon=epoch_start(min(lineage.horizons[name] for name in classes)),
            devices=devices,
        )

    def _dated(self, subject: Subject, found: Found, lease: Lease) -> Found:
        """With the newest stored event time of each device. Raises LeaseOver, Unreachable."""
        newest: dict[int, int] = {}
        for back in _BACK_S:
            wanted = {known.device for number, known in enumerate(found.devices) if number not in newest}
            for device, time in self._times(subject, wanted, back, lease):
                for number, known in enumerate(found.devices):
                    if known.device == device and known.holds(time):
                        newest[number] = max(newest.get(number, 0), time)
        dated = tuple(replace(known, newest=newest.get(number)) for number, known in enumerate(found.devices))
        return replace(found, devices=dated)

    def _times(
        self, subject: Subject, devices: set[DeviceId], back_s: int, lease: Lease
    ) -> Iterator[tuple[DeviceId, int]]:
        """Event times that are stored of these devices, from `back_s` seconds ago on."""
        now = self._clock.wall()
        start, end = max(now - back_s * _SECOND, 0), now + (self._policy.future_window_s + 1) * _SECOND
        for kept in self._policy.classes_of_readings if devices else ():
            named = {
                key.pseudonym(device, KeyEpoch(epoch)): device
                for key in subject.keys.get(kept.name, ())
                for epoch in range(max(key.base, epoch_of(start)), epoch_of(end) + 1)
                for device in devices
            }
            for number, point in enumerate(self._store.query(kept.name, list(named), start, end)):
                if number % _LOOK == 0:
                    lease.renew_if_due()
                    lease.require()
                yield named[point.series.pseudonym], point.time

    def _log(  # noqa: PLR0913, PLR0917 - the parts of an entry
        self,
        tx: Transaction,
        controller: Controller,
        incarnation: Incarnation,
        purpose: str,
        span: tuple[int, int],
        readings: int,
    ) -> None:
        log_access(
            tx,
            at=self._clock.wall(),
            purpose=purpose,
            controller=controller,
            incarnation=incarnation,
            starts=span[0],
            ends=span[1],
            readings=readings,
        )


def _devices(tx: Transaction, lineage: Lineage, subject: Subject) -> Iterator[Known]:
    routes = {route.route_id: route for route in subjects.routes_of(tx, subject.incarnation)}
    for owned in find_devices(tx, subject):
        route = routes[owned.route_id]
        fences = subjects.find_fences(tx, lineage.fence_hashes(Kind.DEVICE, owned.device))
        yield Known(
            device=owned.device,
            starts=route.valid_from,
            ends=route.valid_to,
            fences=tuple((fence.starts, fence.ends) for fence in fences),
        )
