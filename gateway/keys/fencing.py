"""The fences of one erasure: what stops an erased identifier from getting a key, or its late messages from being kept.

A customer's fence stops enrolment and makes `read` and `erase` answer `key_destroyed`. A device's fence is the interval
of event time in which it was this customer's: readings in it are `erased`. A fence holds no incarnation; until it goes,
whoever holds the fence secret can confirm a guessed id (docs/threat-model.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from gateway.keys.lineage import Kind, Lineage
from gateway.keys.subject import CUSTOMER, Subject, find_devices
from gateway.keystore import rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, KeyId, new_id


def fences_of(  # noqa: PLR0913 - what a fence is made of
    tx: Transaction,
    lineage: Lineage,
    subject: Subject,
    *,
    erasure: bytes,
    now: int,
    noted: Callable[[], Iterable[rows.Secret]] = tuple,
) -> list[rows.Fence]:
    """A fence for the customer and one for each interval in which a device was theirs. Raises VerificationFailed.

    `noted`: the secrets of the fence file; see `Lineage.fence_month`.
    """
    month = lineage.fence_month(tx, now, noted)
    routes = {route.route_id: route for route in subjects.routes_of(tx, subject.incarnation)}
    names: list[tuple[Kind, str, int, int | None]]
    names = [(Kind.CUSTOMER, name, 0, None) for name in _customer(tx, subject)]
    names += [
        (Kind.DEVICE, owned.device, routes[owned.route_id].valid_from, routes[owned.route_id].valid_to)
        for owned in find_devices(tx, subject)
        if owned.route_id in routes
    ]
    return [
        rows.Fence(
            fence_id=new_id(),
            controller=lineage.controller,
            kind=kind,
            hash=lineage.fence_hash(kind, name, month=month),
            month=month,
            erasure=erasure,
            starts=starts,
            ends=ends,
            expires=None,
        )
        for kind, name, starts, ends in names
    ]


def fence_lines(
    tx: Transaction, lineage: Lineage, fences: list[rows.Fence], under: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, str | int | list[str] | None]]:
    """What the fence file beside the ledger gets: each fence, and the wrapped secret it is under. Times as decimals.

    `under`: ids of secrets by fence, where the file says it already; other fences are under their month's newest.
    """
    found = lineage.fence_rows(tx)
    known, newest = {secret.key_id.hex(): secret for secret in found}, {secret.version: secret for secret in found}
    wrapped = {fence.fence_id: known.get(under.get(fence.fence_id.hex(), ""), newest[fence.month]) for fence in fences}
    return [
        {
            "fence": fence.fence_id.hex(),
            "controller": fence.controller,
            "kind": str(fence.kind),
            "hash": fence.hash.hex(),
            "erasure": fence.erasure.hex(),
            "starts": str(fence.starts),
            "ends": None if fence.ends is None else str(fence.ends),
            "month": fence.month,
            "secret_id": wrapped[fence.fence_id].key_id.hex(),
            "secret_e": wrapped[fence.fence_id].e,
            "secret": wrapped[fence.fence_id].wrapped.hex(),
        }
        for fence in fences
    ]


def fence_of(line: Mapping[str, object]) -> rows.Fence:
    """A fence of the fence file. Raises KeyError, ValueError for what no version wrote."""
    ends = line["ends"]
    return rows.Fence(
        fence_id=bytes.fromhex(str(line["fence"])),
        controller=Controller(str(line["controller"])),
        kind=str(line["kind"]),
        hash=bytes.fromhex(str(line["hash"])),
        month=int(str(line["month"])),
        erasure=bytes.fromhex(str(line["erasure"])),
        starts=int(str(line["starts"])),
        ends=None if ends is None else int(str(ends)),
        expires=None,
    )


def secret_of(line: Mapping[str, object], *, now: int) -> rows.Secret:
    """The wrapped secret that a fence of the fence file was made under. Raises as `fence_of`."""
    return rows.Secret(
        key_id=KeyId(bytes.fromhex(str(line["secret_id"]))),
        controller=Controller(str(line["controller"])),
        kind="fence",
        version=int(str(line["month"])),
        e=int(str(line["secret_e"])),
        wrapped=bytes.fromhex(str(line["secret"])),
        created=now,
    )


def _customer(tx: Transaction, subject: Subject) -> list[str]:
    found = subjects.find_records(tx, [subject.incarnation], CUSTOMER)
    return [msgspec.json.decode(subject.open_record(record))["customer"] for record in found]
