"""An identity record that does not open: told as what it is, with its next step, and nobody else's matter."""

from __future__ import annotations

import pytest

from gateway.errors import VerificationFailed
from gateway.keystore.schema import records
from tests.world import World

pytestmark = pytest.mark.both_key_stores


@pytest.mark.parametrize(
    ("kind", "act"), [("customer", "erase"), ("device", "erase"), ("device", "read"), ("choice", "read")]
)
def test_it_is_named_with_its_next_step(world: World, kind: str, act: str) -> None:
    world.enrol("anna", "meter-1", purposes=["development"])
    with world.keystore.act() as tx:
        tx.execute(records.update().where(records.c.kind == kind).values(sealed=bytes(61)))
    world.enrol("bo", "meter-2")
    with pytest.raises(VerificationFailed, match=f"this customer's record of kind {kind} does not open") as fault:
        world.erase("anna") if act == "erase" else world.read("anna", purpose="development")
    assert "from a backup made since the last turnover (`glomska keys restore`)" in fault.value.hint
    assert fault.value.exit_code == 8
    assert len(world.read("bo")) == 0
    world.erase("bo")
