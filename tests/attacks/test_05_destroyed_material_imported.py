"""Attack 5: somebody who kept a destroyed key's rows puts them back: at their id, at another, at any version or base.

A key id that ever existed is never used again; a row opens only where it stands, as the customer, class, version and
base that it was wrapped for; and a commitment says which key it was.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.control.customer import open_lineage
from gateway.errors import GlomskaError, IntegrityStop, VerificationFailed
from gateway.keystore import rows, schema, subjects
from gateway.model.ids import Incarnation, KeyId, new_id, parse_controller
from gateway.model.sealed import Reason
from tests.world import CONTROLLER, World

pytestmark = pytest.mark.both_key_stores


def kept(world: World) -> list[rows.Key]:
    with world.keystore.snapshot() as tx:
        (incarnation,) = tx.scalars(schema.incarnations.select().with_only_columns(schema.incarnations.c.incarnation))
        return subjects.find_keys(tx, [Incarnation(incarnation)])


def test_an_id_that_existed_is_never_used_again(world: World) -> None:
    world.enrol("anna", "meter-1")
    before = kept(world)
    world.erase("anna")
    for row in before:
        for version, base in ((1, row.base), (2, row.base), (9, row.base + 5), (1, 0)):
            again = dataclasses.replace(row, version=version, base=base, state="active")
            with pytest.raises(IntegrityStop, match="exists already"), world.keystore.act() as tx:
                subjects.add_keys(tx, [again], now=1)
    assert all(row.wrapped is None for row in kept(world))
    assert world.publish("meter-1", temperature=20).refusals.readings == {Reason.ERASED: 1}


@pytest.mark.parametrize("part", ["key_id", "incarnation", "key_class", "version", "base"])
def test_moved_to_another_place_it_does_not_open(world: World, part: str) -> None:
    world.enrol("anna", "meter-1")
    (row,) = (row for row in kept(world) if row.key_class == "telemetry")
    world.erase("anna")
    moved: dict[str, Any] = {
        "key_id": KeyId(new_id()),
        "incarnation": Incarnation(new_id()),
        "key_class": "billing",
        "version": 2,
        "base": row.base + 1,
    }
    elsewhere = dataclasses.replace(row, **{part: moved[part]})
    with world.keystore.snapshot() as tx:
        lineage = open_lineage(tx, world.custodian, parse_controller(CONTROLLER))
    assert lineage.open(row) is not None, "where it stood it would: a copy opens until the next turnover"
    with pytest.raises(GlomskaError) as refusal:
        lineage.open(elsewhere)
    assert isinstance(refusal.value, VerificationFailed)
