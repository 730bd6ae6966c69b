"""Enrolment: the only thing that creates keys.

Lines are taken in groups, each group one act and one transaction: fences are checked, keys minted, routes and identity
records written, or nothing is. A line that cannot be taken is refused by number and reason, and the others go on.

Refusal reasons: `taken` (the device belongs to another customer at that time), `erased` (the customer was erased, or
the device's readings of that time belonged to one; a returning customer needs `new_incarnation`), `purpose` (not
declared, or not one that asks for consent), `suspended` (the customer's keys rest), `left` (the controller has left),
`damaged` (the customer's key or choices do not open).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.control.role import Act, Control
from gateway.errors import IntegrityStop, KeyDestroyed, Refused, VerificationFailed
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import IDENTITY, Kind, Lineage
from gateway.keys.subject import CHOICE, CUSTOMER, DEVICE, Subject, find_choices, minted_subject, open_subject
from gateway.keystore import acts, rows, subjects, workers
from gateway.model.ids import Controller, CustomerId, DeviceId, Incarnation, RouteId, new_id
from gateway.policy.consent import consents, in_force
from gateway.policy.rules import Policy, horizon_epoch

ENROL = "enrol"
GROUP = 500
"""Lines a transaction: large enough that fsyncs do not matter, small enough that nobody waits for the role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One line: a device of a customer from an event time (ns) on. Its repr shows no one."""

    line: int
    controller: Controller = field(repr=False)
    customer: CustomerId = field(repr=False)
    device: DeviceId = field(repr=False)
    area: str
    valid_from: int
    purposes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of an enrolment file. `refused` holds (line number, reason)."""

    enrolled: int = 0
    already: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


class LineRefused(Exception):
    """One line is not taken; the argument is its reason."""


def enrol(  # noqa: PLR0913 - what an act on keys needs
    control: Control,
    custodian: Custodian,
    policy: Policy,
    lines: Iterable[Enrolment],
    *,
    new_incarnation: bool = False,
    progress: Callable[[int], None] = lambda _done: None,
) -> Result:
    """Enrol all lines that can be; see the module for what is refused.

    Args:
        control: the control role.
        custodian: opens each controller's lineage, and makes one for a controller that is new.
        policy: says which key classes there are, and their horizons.
        lines: in any order.
        new_incarnation: lets erased customers begin a new life, unrelated to the old.
        progress: told the number of lines done after each group.

    Raises:
        CustodianFault, Unreachable, Refused, IntegrityStop: the group under way was not taken, earlier ones were.
    """
    result = Result()
    for group in in_groups(lines):
        with control.act(ENROL) as act:
            Group(act, control.clock.wall(), custodian, policy, group, new_incarnation=new_incarnation).take(result)
        progress(len(group))
    return result


class Group:
    """One transaction's worth of lines, with everything they may touch read beforehand.

    `control.handover` takes lines the same way and differs in `_has` and `_claim`: who may have an owned device.
    """

    def __init__(  # noqa: PLR0913
        self,
        act: Act,
        now: int,
        custodian: Custodian,
        policy: Policy,
        lines: Sequence[Enrolment],
        *,
        new_incarnation: bool,
    ) -> None:
        self._act, self._tx, self._now, self._policy, self._lines = act, act.tx, now, policy, lines
        self._returning = new_incarnation
        self._lineages: dict[Controller, Lineage] = {}
        self._routes: dict[bytes, list[rows.Route]] = {}
        self._fences: dict[bytes, list[rows.Fence]] = {}
        self._subjects: dict[Incarnation, Subject] = {}
        self._shut: dict[Incarnation, str] = {}  # who cannot be enrolled now, and the reason
        self._new_routes: list[rows.Route] = []
        self._ended: list[rows.Route] = []
        self._new_records: list[rows.Record] = []
        self._new_keys: list[rows.Key] = []
        self._new_incarnations: list[Incarnation] = []
        for controller in dict.fromkeys(line.controller for line in lines):
            with contextlib.suppress(KeyDestroyed):  # it has left: its lines are refused, and the others go on
                self._lineages[controller] = self._lineage(custodian, controller)
        self._read()

    def take(self, result: Result) -> None:
        """Judge each line, then write all that was taken."""
        for line in self._lines:
            try:
                if self._taken(line):
                    result.enrolled += 1
                else:
                    result.already += 1
            except LineRefused as refusal:
                result.refused.append((line.line, str(refusal)))
        if self._new_keys:
            subjects.add_keys(self._tx, self._new_keys, now=self._now)
        subjects.add_routes(self._tx, self._new_routes)
        for route in self._ended:
            subjects.end_route(self._tx, route)
        subjects.add_records(self._tx, self._new_records)
        devices = [route for route in self._new_routes if route.kind == Kind.DEVICE]
        owners = {route.incarnation: route.controller for route in self._new_routes}
        whose = [*(owners[one] for one in self._new_incarnations), *(route.controller for route in devices)]
        self._act.outcome["incarnations"] = [i.hex() for i in self._new_incarnations]
        self._act.outcome["routes"] = [route.route_id.hex() for route in devices]
        self._act.outcome["controllers"] = list(whose if len(set(whose)) > 1 else dict.fromkeys(whose))

    def _lineage(self, custodian: Custodian, controller: Controller) -> Lineage:
        found = Lineage.load(self._tx, custodian, controller)
        if found is not None:
            found.hold(self._tx)
            return found
        classes = {name: horizon_epoch(self._policy, name, self._now) for name in self._policy.key_classes}
        return Lineage.create(self._tx, custodian, controller, classes=classes, now=self._now)

    def _read(self) -> None:
        """Routes, fences and keys of everyone named, in a few queries."""
        wanted: set[bytes] = set()
        marks: set[bytes] = set()
        for line in self._lines:
            lineage = self._lineages.get(line.controller)
            if lineage is None:
                continue
            for kind, name in ((Kind.CUSTOMER, line.customer), (Kind.DEVICE, line.device)):
                wanted.update(lineage.route_hashes(kind, name))
                marks.update(lineage.fence_hashes(kind, name))
        for route in subjects.find_routes(self._tx, wanted):
            self._routes.setdefault(route.hash, []).append(route)
        for fence in subjects.find_fences(self._tx, marks):
            self._fences.setdefault(fence.hash, []).append(fence)
        self._open({r.incarnation: r.controller for found in self._routes.values() for r in found})

    def _open(self, owners: Mapping[Incarnation, Controller]) -> None:
        key_rows: dict[Incarnation, list[rows.Key]] = {}
        for key in subjects.find_keys(self._tx, owners):
            key_rows.setdefault(key.incarnation, []).append(key)
        for incarnation, found in key_rows.items():
            try:
                self._subjects[incarnation] = open_subject(self._lineages[owners[incarnation]], incarnation, found)
            except KeyDestroyed:  # an erasure has begun, so its routes are about to go
                continue
            except Refused:  # one who rests must not keep the others of the file from being enrolled
                self._shut[incarnation] = "suspended"
            except (VerificationFailed, IntegrityStop):  # nor must one whose row is damaged
                self._shut[incarnation] = "damaged"

    def _taken(self, line: Enrolment) -> bool:
        """True when enrolled, False when it was already. Raises LineRefused."""
        lineage = self._lineages.get(line.controller)
        if lineage is None:
            raise LineRefused("left")
        owner = self._owner(lineage, line)
        found = self._found(lineage, Kind.DEVICE, line.device)
        routes = sorted((r for r in found if reaches(r.valid_to, line.valid_from)), key=lambda r: r.valid_from)
        choices = self._choices(owner, line)
        if routes and owner is not None and self._has(owner, line, routes[0]):
            self._consent(owner, choices)
            return False
        self._claim(lineage, line, routes)
        fences = self._open_fences(lineage, line)
        if owner is None:
            owner = self._begin_life(lineage, line)
        for route in routes:
            self._end(route, line.valid_from)
        for fence in fences:
            subjects.bound_fence(self._tx, fence.fence_id, ends=line.valid_from)
            workers.raise_generation(self._tx)  # workers hold the fence without its end
        self._add_device(lineage, line, owner)
        self._consent(owner, choices)
        return True

    def _consent(self, owner: Subject, choices: list[dict[str, object]]) -> None:
        """Record the consents that are new, also those of a line whose device is enrolled already."""
        self._new_records += [owner.record(CHOICE, choice) for choice in choices]
        if choices and owner.incarnation not in self._new_incarnations:
            workers.raise_generation(self._tx)  # workers hold what this customer allowed before

    def _has(self, owner: Subject, _line: Enrolment, route: rows.Route) -> bool:
        """Whether the device is its customer's already: `route` is the first that reaches beyond the line's time."""
        return route.incarnation == owner.incarnation

    def _claim(self, _lineage: Lineage, _line: Enrolment, routes: list[rows.Route]) -> None:
        """Whether the device can be had, with `routes` ended at the line's time. Raises LineRefused."""
        if routes:
            raise LineRefused("taken")

    def _end(self, route: rows.Route, at: int) -> None:
        ended = dataclasses.replace(route, valid_to=at)
        for held in (self._routes[route.hash], self._new_routes):
            held[:] = [ended if other.route_id == route.route_id else other for other in held]
        self._ended.append(ended)

    def _owner(self, lineage: Lineage, line: Enrolment) -> Subject | None:
        """The customer's present life, or None when one is to begin."""
        for route in self._found(lineage, Kind.CUSTOMER, line.customer):
            if route.incarnation not in self._subjects:
                raise LineRefused(self._shut.get(route.incarnation, "erased"))
            return self._subjects[route.incarnation]
        marks = lineage.fence_hashes(Kind.CUSTOMER, line.customer)
        if any(self._fences.get(mark) for mark in marks) and not self._returning:
            raise LineRefused("erased")
        return None

    def _open_fences(self, lineage: Lineage, line: Enrolment) -> list[rows.Fence]:
        """Fences that this line would end. A time before the erasure belonged to whoever was erased."""
        covering = self._covering(lineage, line)
        for fence in covering:
            erasure = acts.find_erasure(self._tx, fence.erasure)
            if fence.ends is not None or erasure is None or line.valid_from < erasure.requested:
                raise LineRefused("erased")
        return covering

    def _covering(self, lineage: Lineage, line: Enrolment) -> list[rows.Fence]:
        """Fences that hold something of after the line's time; one that was ended before it began holds nothing."""
        marks = lineage.fence_hashes(Kind.DEVICE, line.device)
        found = [f for mark in marks for f in self._fences.get(mark, ()) if reaches(f.ends, f.starts)]
        return [f for f in found if reaches(f.ends, line.valid_from)]

    def _choices(self, owner: Subject | None, line: Enrolment) -> list[dict[str, object]]:
        """The line's consents that are new. Raises LineRefused."""
        try:
            granted = consents(self._policy, line.purposes)
            spoken = in_force(find_choices(self._tx, owner), self._now) if owner and granted else {}
        except Refused:
            raise LineRefused("purpose") from None
        except VerificationFailed:
            raise LineRefused("damaged") from None
        new = {name: yes for name, yes in granted.items() if not spoken.get(name)}
        return [{"purpose": name, "granted": yes, "effective": self._now} for name, yes in new.items()]

    def _begin_life(self, lineage: Lineage, line: Enrolment) -> Subject:
        incarnation = Incarnation(new_id())
        subjects.add_incarnation(self._tx, incarnation, controller=line.controller, now=self._now)
        minted, handles = lineage.mint(incarnation, sorted({*self._policy.key_classes, IDENTITY}))
        subject = minted_subject(incarnation, handles)
        self._subjects[incarnation] = subject
        self._new_keys += minted
        self._new_incarnations.append(incarnation)
        self._add_route(lineage, Kind.CUSTOMER, line.customer, line, incarnation)
        self._new_records.append(subject.record(CUSTOMER, {"customer": line.customer}))
        return subject

    def _add_device(self, lineage: Lineage, line: Enrolment, owner: Subject) -> None:
        route_id = self._add_route(lineage, Kind.DEVICE, line.device, line, owner.incarnation)
        self._new_records.append(owner.record(DEVICE, {"device": line.device, "route": route_id.hex()}))

    def _add_route(self, lineage: Lineage, kind: Kind, name: str, line: Enrolment, incarnation: Incarnation) -> RouteId:
        route = rows.Route(
            route_id=RouteId(new_id()),
            controller=line.controller,
            kind=kind,
            hash=lineage.route_hashes(kind, name)[-1],
            e=lineage.e,
            incarnation=incarnation,
            area=line.area,
            valid_from=line.valid_from if kind is Kind.DEVICE else 0,
            valid_to=None,
        )
        self._new_routes.append(route)
        self._routes.setdefault(route.hash, []).append(route)
        return route.route_id

    def _found(self, lineage: Lineage, kind: Kind, name: str) -> list[rows.Route]:
        return [route for mark in lineage.route_hashes(kind, name) for route in self._routes.get(mark, ())]


def reaches(until: int | None, time: int) -> bool:
    """Whether an interval of event time that ends before `until` (None: never) goes beyond `time`."""
    return until is None or time < until


def in_groups(lines: Iterable[Enrolment]) -> Iterator[list[Enrolment]]:
    """The lines, some for each transaction."""
    group: list[Enrolment] = []
    for line in lines:
        group.append(line)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
