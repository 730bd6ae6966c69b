"""A worker's cache of devices and their handles, under one lease and one generation.

Three rules hold it together:

- `using()` is held while handles are looked up and used; a new generation waits for it, then all that is cached goes:
  but for a generation that a turnover raised, which changes no customer's keys, unless a month expires with it, and for
  one that an erasure raised, which changes one customer's.
- a look-up reads generation and keys in one snapshot; when the generation has moved it raises, and the batch is taken
  again after a poll: a fill of another generation than the ring's is thrown away.
- `fit_to_send(generation)` is asked after sealing, before sending; when it says no, `gone` tells whose keys are gone.

A generation that goes backwards is of a key store that was set back: then no key is used and nothing sent any more.

The acknowledgement of a generation is sent only after `using()` was ours, so no handle of the old one is in use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from itertools import islice

from gateway.clock import Clock
from gateway.errors import IntegrityStop, LeaseOver, VerificationFailed
from gateway.keys.custodian import Custodian
from gateway.keys.handle import Common, Device, Span, SubjectKey
from gateway.keys.lease import Lease
from gateway.keys.lifecycle import KEEPS, SEALS, KeyState
from gateway.keys.lineage import IDENTITY, Kind, Lineage
from gateway.keys.operations import NoOperationsKey, OperationsKey
from gateway.keys.strangers import Sieve, Strangers
from gateway.keys.subject import CHOICE, is_erased, open_subject
from gateway.keys.waiting import gone, kept_since
from gateway.keystore import acts, lineages, rows, subjects, turnovers, workers
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.ids import Controller, DeviceId, Incarnation, KeyId, epoch_start
from gateway.model.sealed import Reason
from gateway.policy.consent import in_force, permitted
from gateway.policy.rules import Mode, Policy

FOREVER = 2**63 - 1
_FILLED = 500  # devices looked up together
Parse = Callable[[str], tuple[Controller, DeviceId] | None]


class GenerationMoved(LeaseOver):
    """Keys changed while a batch was under way: poll, then take the same batch again."""


class Ring:
    """What a worker knows of devices, by topic."""

    def __init__(  # noqa: PLR0913 - what wiring hands to it
        self, keystore: KeyStore, custodian: Custodian, policy: Policy, lease: Lease, clock: Clock, *, parse: Parse
    ) -> None:
        self._keystore = keystore
        self._custodian = custodian
        self._hold_to(policy)
        self._lease = lease
        self._clock = clock
        self._parse = parse
        self._name_of = self._named  # one object for all devices
        self._lock = threading.Lock()
        self._polling = threading.Lock()
        self._acknowledged = 0
        self._lineages: dict[Controller, Lineage] = {}
        self._known: dict[str, Device] = {}
        self._strangers = Strangers()
        self._operations: dict[Controller | None, OperationsKey] = {}
        self.generation = 0
        self._touched: set[bytes] = set()  # open fences that refuse what comes: they must not expire yet
        self.unusable: set[Incarnation] = set()  # whose keys should open and do not: one must not stop all others

    def register(self) -> None:
        """Begin as a worker: every lineage must open now, or nothing starts.

        Raises:
            CustodianFault, ConfigurationFault, Unreachable.
        """
        with self._keystore.snapshot() as tx:
            for controller in lineages.all_controllers(tx):
                self._lineage(tx, controller)
        self._acknowledged = self._lease.register()
        with self._lock:
            self._move_to(self._acknowledged)  # what was read above may be of the generation before

    def leave(self) -> None:
        """Drop everything and give up the lease. Raises Unreachable."""
        with self._lock:
            self._known.clear()
            self._operations.clear()
        self._lease.leave()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Until it is time to poll."""
        self._keystore.wait(stop, seconds)

    def poll(self) -> bool:
        """Look for a new generation and renew the lease; whether the generation moved.

        Raises IntegrityStop where the key store was set back, Unreachable.

        One thread at a time: a generation that was looked up earlier and moved to later would bring the old one back.
        """
        with self._polling:
            generation = self._lease.look()
            moved = generation != self.generation
            if moved:
                with self._lock:
                    self._move_to(generation)
            if generation != self._acknowledged:  # also when the last attempt did not reach the key store
                self._lease.acknowledge(generation)
                self._acknowledged = generation
            self._lease.renew_if_due()
            self._tell_touched()
            return moved

    def _tell_touched(self) -> None:
        """Once a generation for each device: a fence's date is counted in months."""
        with self._lock:
            touched, self._touched = self._touched, set()
        if touched:
            with self._keystore.act() as tx:
                subjects.touch_fences(tx, touched, now=self._clock.wall())

    @contextlib.contextmanager
    def adopting(self, policy: Policy) -> Iterator[None]:
        """Hold to another policy from here on; within it, nobody uses a handle of the old one.

        Raises what `Lineage.require` does when a controller lacks keys of its classes. Then the old one stays, and when
        anything is raised within.
        """
        with self._lock:
            for lineage in self._lineages.values():
                lineage.require(tuple(c.name for c in policy.classes_of_readings))
            yield
            self._hold_to(policy)
            self._known.clear()  # devices keep what the policy permits, and in which order its classes are

    def _hold_to(self, policy: Policy) -> None:
        self._policy = policy
        self._classes = tuple(c.name for c in policy.classes_of_readings)
        self._stored = sum(1 << q.number for q in policy.quantities if q.mode is not Mode.DROP)
        self._unspoken = permitted(policy, {}) & self._stored  # of all who never chose anything

    @contextlib.contextmanager
    def using(self) -> Iterator[int]:
        """Hold the ring while handles are in use; the generation they belong to. Raises LeaseOver."""
        with self._lock:
            self._lease.require()
            yield self.generation

    def fit_to_send(self, generation: int) -> bool:
        """Whether what was sealed under `generation` may be sent as it is. Raises LeaseOver."""
        self._lease.require()
        return generation == self.generation

    def living(self, key_ids: Collection[KeyId]) -> set[KeyId]:
        """Those of these keys that may still seal. Raises LeaseOver, Unreachable."""
        self._lease.require()
        with self._keystore.snapshot() as tx:
            states, resting = subjects.key_states(tx, key_ids), subjects.find_resting(tx, key_ids)
        return {key_id for key_id, state in states.items() if KeyState(state) in SEALS} - resting

    def gone(self, key_ids: Collection[KeyId]) -> set[KeyId]:
        """Those of these keys that were erased, or that nobody knows. Raises LeaseOver, Unreachable."""
        self._lease.require()
        return gone(self._keystore, key_ids)

    def kept_since(self, key_ids: Collection[KeyId]) -> dict[KeyId, int]:
        """For each of these keys, the oldest event time that is kept. Raises LeaseOver, Unreachable."""
        self._lease.require()
        return kept_since(self._keystore, key_ids)

    def resolve(self, topics: Sequence[str]) -> list[Device | Reason]:
        """The device of each topic, or why there is none. Within `using`. Raises GenerationMoved, Unreachable."""
        try:
            return list(map(self._known.__getitem__, topics))
        except KeyError:
            refused = self._fill({topic for topic in topics if topic not in self._known})
        return [self._known.get(t) or refused.get(t, Reason.UNKNOWN_DEVICE) for t in topics]

    @contextlib.contextmanager
    def current(self) -> Iterator[Transaction]:
        """The key store as of this ring's generation. Within `using`. Raises GenerationMoved, Unreachable."""
        with self._keystore.snapshot() as tx:
            if workers.generation(tx) != self.generation:
                message = "keys have changed since this worker last looked"
                raise GenerationMoved(message)
            yield tx

    def operations_key(self, controller: Controller | None, day: int) -> OperationsKey:
        """The day's key of a controller; of the first one, where this key store does not know it. Within `using`.

        Raises:
            NoOperationsKey: nobody has made it yet.
            GenerationMoved, CustodianFault, Unreachable.
        """
        known = controller if controller in self._lineages else None
        key = self._operations.get(known)
        if key is None or key.day != day:
            key = self._operations[known] = self._find_operations_key(known, day)
        return key

    def lineage(self, tx: Transaction, controller: Controller) -> Lineage | None:
        """A controller's keys, opened; None of one that this key store does not know. Within `using`."""
        return self._lineage(tx, controller)

    def __len__(self) -> int:
        """Devices cached."""
        return len(self._known)

    def _move_to(self, generation: int) -> None:
        before = {controller: lineage.horizons for controller, lineage in self._lineages.items()}
        with self._keystore.snapshot() as tx:
            for lineage in list(self._lineages.values()):
                if lineages.has_left(tx, lineage.controller):
                    del self._lineages[lineage.controller]
                else:
                    lineage.refresh(tx)
            gone = self._erased(tx, generation)
        same = before == {controller: lineage.horizons for controller, lineage in self._lineages.items()}
        if gone is None or not same:
            self._known.clear()
        else:
            for topic in [topic for topic, device in self._known.items() if not device.outlasts(gone)]:
                del self._known[topic]
        self._operations.clear()
        self.generation = generation

    def _erased(self, tx: Transaction, generation: int) -> frozenset[Incarnation] | None:
        """Whom erasures since have begun on; None where something else may have changed somebody's keys."""
        erased = acts.erased_since(tx, self.generation)
        told = erased.keys() | turnovers.raised_since(tx, self.generation)
        missed = range(self.generation + 1, generation + 1)
        return frozenset(erased.values()) if missed and told.issuperset(missed) else None

    def _fill(self, missing: set[str]) -> dict[str, Reason]:
        parsed = {topic: self._parse(topic) for topic in missing}
        by_controller: dict[Controller, dict[str, DeviceId]] = {}
        for topic, names in parsed.items():
            if names is not None:
                by_controller.setdefault(names[0], {})[topic] = names[1]
        with self.current() as tx:
            self._strangers.as_of(acts.newest_known(tx), self.generation)
            if self._strangers.are_too_many:
                self._strangers.sift_by(self._sieve(tx))
            for controller, asked in by_controller.items():
                wanted = {topic: name for topic, name in asked.items() if topic not in self._strangers}
                lineage = self._lineage(tx, controller) if wanted else None
                if lineage is not None:
                    for part in _parts(wanted):
                        self._known |= self._devices(tx, lineage, part)
                self._strangers.add(topic for topic in wanted if topic not in self._known)
        return {topic: Reason.TOPIC for topic, names in parsed.items() if names is None}

    @staticmethod
    def _sieve(tx: Transaction) -> Sieve:
        return Sieve(subjects.count_hashes(tx, Kind.DEVICE), subjects.all_hashes(tx, Kind.DEVICE))

    def _find_operations_key(self, controller: Controller | None, day: int) -> OperationsKey:
        with self.current() as tx:
            owner = controller or lineages.first_controller(tx)
            lineage = None if owner is None else self._lineage(tx, owner)
            found = [] if lineage is None else lineage.operations_keys(tx, day)
        if not found:
            message = "there is no operations key for today, under which dead letters of nobody known are sealed"
            raise NoOperationsKey(message)
        return found[0]

    def _devices(self, tx: Transaction, lineage: Lineage, wanted: dict[str, DeviceId]) -> dict[str, Device]:
        hashes = {topic: lineage.route_hashes(Kind.DEVICE, name) for topic, name in wanted.items()}
        marks = {topic: lineage.fence_hashes(Kind.DEVICE, name) for topic, name in wanted.items()}
        possible = self._strangers.possible({topic: (*hashes[topic], *marks[topic]) for topic in wanted})
        routes = subjects.find_routes(tx, {h for topic in possible for h in hashes[topic]})
        fences = subjects.find_fences(tx, {h for topic in possible for h in marks[topic]})
        owners = self._owners(tx, lineage, {route.incarnation for route in routes})
        spans: dict[bytes, list[Span]] = {}
        for route in routes:
            spans.setdefault(route.hash, []).extend(_route_spans(route, owners[route.incarnation]))
        for fence in fences:
            spans.setdefault(fence.hash, []).append(_fence_span(fence))
        self._touched |= {fence.fence_id for fence in fences if fence.ends is None}
        devices, common = {}, self._common(lineage)
        for topic in possible:
            found = [span for mark in (*hashes[topic], *marks[topic]) for span in spans.get(mark, ())]
            if found:
                devices[topic] = Device(topic, found, common)
        return devices

    def _owners(self, tx: Transaction, lineage: Lineage, wanted: set[Incarnation]) -> dict[Incarnation, list[Span]]:
        """For each incarnation, spans of all time with its keys, or with why they cannot be used."""
        key_rows: dict[Incarnation, list[rows.Key]] = {incarnation: [] for incarnation in wanted}
        for row in subjects.find_keys(tx, wanted):
            key_rows[row.incarnation].append(row)
        choices: dict[Incarnation, list[rows.Record]] = {}
        for record in subjects.find_records(tx, wanted, CHOICE):
            choices.setdefault(record.incarnation, []).append(record)
        return {i: self._owner(lineage, i, found, choices.get(i, [])) for i, found in key_rows.items()}

    def _owner(
        self, lineage: Lineage, incarnation: Incarnation, found: list[rows.Key], choices: list[rows.Record]
    ) -> list[Span]:
        if is_erased(found):
            return [Span(starts=0, ends=FOREVER, reason=Reason.ERASED)]
        if lineage.suspended or not _seal(found, self._classes):
            keys = self._letter_keys(lineage, incarnation, found)
            return [Span(starts=0, ends=FOREVER, reason=Reason.SUSPENDED, keys=keys)]
        needed = {*self._classes, IDENTITY} if choices else self._classes  # a key that is not used is not opened
        try:
            subject = open_subject(lineage, incarnation, [row for row in found if row.key_class in needed])
            keys = sum((subject.keys[c] for c in self._classes), ())
            history, now = subject.choices(choices), self._clock.wall()
        except (VerificationFailed, IntegrityStop, KeyError):  # their row is damaged, or older than a key class
            self.unusable.add(incarnation)
            return [Span(starts=0, ends=FOREVER, reason=Reason.SUSPENDED)]
        if not history:
            return [Span(starts=0, ends=FOREVER, keys=keys, permitted=self._unspoken)]
        edges = sorted({0, *(choice.effective for choice in history)})  # between two of them no choice changes
        masks = [permitted(self._policy, in_force(history, edge, now)) & self._stored for edge in edges]
        return [
            Span(starts=starts, ends=ends, keys=keys, permitted=mask)
            for starts, ends, mask in zip(edges, [*edges[1:], FOREVER], masks, strict=True)
        ]

    def _letter_keys(
        self, lineage: Lineage, incarnation: Incarnation, found: Sequence[rows.Key]
    ) -> tuple[SubjectKey, ...]:
        """The versions of a suspended customer's key for dead letters; none where one of them does not open."""
        try:
            return tuple(
                lineage.open_to_end(row)
                for row in found
                if row.key_class == self._classes[0] and KeyState(row.state) in KEEPS
            )
        except (VerificationFailed, IntegrityStop):
            self.unusable.add(incarnation)
            return ()

    def _named(self, topic: str) -> DeviceId:
        _controller, device = self._parse(topic)  # type: ignore[misc]  # it was parsed when its device was looked up
        return device

    def _common(self, lineage: Lineage) -> Common:
        oldest = min(lineage.horizons[name] for name in self._classes)
        expired = Span(starts=-FOREVER, ends=epoch_start(oldest), reason=Reason.TOO_OLD)
        return Common(controller=lineage.controller, schema=self._policy.schema, expired=expired, name_of=self._name_of)

    def _lineage(self, tx: Transaction, controller: Controller) -> Lineage | None:
        if controller not in self._lineages:
            if lineages.has_left(tx, controller):
                return None  # its devices are nobody's
            lineage = Lineage.load(tx, self._custodian, controller)
            if lineage is None:
                return None
            lineage.require(self._classes)
            self._lineages[controller] = lineage
        return self._lineages[controller]


def _seal(found: Sequence[rows.Key], classes: Collection[str]) -> bool:
    """Whether one customer's keys, oldest version first, may seal: a compromised one only up to the one after it.

    A key that was given up as lost seals nothing, and stops those of other classes from nothing.
    """
    left = {row.key_class: row.state for row in found if row.state != KeyState.DESTROYED}
    lost = {row.key_class for row in found} - left.keys()
    sealing = all(KeyState(row.state) in SEALS for row in found if row.state != KeyState.DESTROYED)
    return sealing and KeyState.COMPROMISED not in left.values() and not lost.intersection(classes)


@lru_cache(maxsize=4096)
def _same(time: int) -> int:
    """One object for a date that many share."""
    return time


def _parts(wanted: dict[str, DeviceId]) -> Iterator[dict[str, DeviceId]]:
    """Not thousands at once: rows of the key store would stand between what is kept, and their room stay ours."""
    rest = iter(wanted.items())
    while part := dict(islice(rest, _FILLED)):
        yield part


def _route_spans(route: rows.Route, owner: Sequence[Span]) -> list[Span]:
    until = FOREVER if route.valid_to is None else route.valid_to
    edges = [(max(span.starts, _same(route.valid_from)), min(span.ends, until)) for span in owner]
    return [
        dataclasses.replace(span, starts=starts, ends=ends, area=sys.intern(route.area))
        for span, (starts, ends) in zip(owner, edges, strict=True)
    ]


def _fence_span(fence: rows.Fence) -> Span:
    return Span(starts=fence.starts, ends=FOREVER if fence.ends is None else fence.ends, reason=Reason.ERASED)
