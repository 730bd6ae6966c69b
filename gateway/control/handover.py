"""Hand-over: a device changes hands at an event time, and each reading belongs to whoever had the device then.

A line is one of the enrolment file: the device's new customer, enrolled in the same transaction when new, and the time
from which it is theirs. The former owner's route ends there and theirs begins. Nothing else of the former owner's is
touched: they may read what was measured in their time, and late readings still go to whom they belong. Where the former
owner was erased, the fence over the device ends there instead.

A time that has passed is allowed. Readings of after it that were stored before the hand-over stay sealed under the
former owner's key, are shown to nobody (`control.access`), and go with that customer's erasure.

Refusal reasons beyond those of enrolment (`taken` apart): `unowned`, `early`, `later`, `far`; see REASONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.control import enrolment_file
from gateway.control.enrolment import Enrolment, Group, LineRefused, Result, in_groups
from gateway.control.role import Control
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import Lineage
from gateway.keys.subject import Subject
from gateway.keystore import rows
from gateway.policy.rules import Policy

HAND_OVER = "hand-over"

REASONS = MappingProxyType(
    {reason: means for reason, means in enrolment_file.REASONS.items() if reason != "taken"}
    | {
        "unowned": "nobody has the device, or not at that time: it is for `enrol`",
        "early": "the device came to its present owner at that time or later",
        "later": "the device changes hands at a later time already",
        "far": "the time is more than a year ahead",
    }
)
"""Why a line is refused: a closed list."""

_FARTHEST = 366 * 86_400 * 10**9


@dataclass(slots=True, kw_only=True)
class HandedOver:
    """What came of a file. `refused` holds (line number, reason)."""

    handed_over: int = 0
    already: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def hand_over(  # noqa: PLR0913 - what an act on keys needs
    control: Control,
    custodian: Custodian,
    policy: Policy,
    lines: Iterable[Enrolment],
    *,
    new_incarnation: bool = False,
    progress: Callable[[int], None] = lambda _done: None,
) -> HandedOver:
    """Hand over all devices that can be, in the order of the lines; arguments as for `enrolment.enrol`.

    Raises:
        CustodianFault, Unreachable, Refused, IntegrityStop: the group under way was not taken, earlier ones were.
    """
    result = Result()
    for group in in_groups(lines):
        with control.act(HAND_OVER) as act:
            taking = _HandOvers(act, control.clock.wall(), custodian, policy, group, new_incarnation=new_incarnation)
            taking.take(result)
        progress(len(group))
    return HandedOver(handed_over=result.enrolled, already=result.already, refused=result.refused)


class _HandOvers(Group):
    """Lines whose devices have an owner."""

    def take(self, result: Result) -> None:
        """Judge each line, then write all that was taken. The ledger gets ended routes and when they end, in ns."""
        super().take(result)
        self._act.outcome["ended"] = [route.route_id.hex() for route in self._ended]
        self._act.outcome["at"] = [str(route.valid_to) for route in self._ended]

    def _has(self, owner: Subject, line: Enrolment, route: rows.Route) -> bool:
        return route.incarnation == owner.incarnation and route.valid_from <= line.valid_from

    def _claim(self, lineage: Lineage, line: Enrolment, routes: list[rows.Route]) -> None:
        if line.valid_from > self._now + _FARTHEST:
            raise LineRefused("far")
        if not routes and not self._covering(lineage, line):
            raise LineRefused("unowned")
        if routes and routes[0].valid_from >= line.valid_from:
            raise LineRefused("early")
        if any(route.valid_to is not None for route in routes):
            raise LineRefused("later")
