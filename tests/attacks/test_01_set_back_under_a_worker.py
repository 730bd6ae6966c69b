"""Attack 1, where no ledger is at hand: a key store is set back under a worker, or before one elsewhere starts.

The worker ends before it uses a key of what is there now, and none starts that the custodian does not let.
"""

from __future__ import annotations

import pytest

from gateway.control.role import require_current
from gateway.errors import IntegrityStop, LeaseOver
from tests.attacks.test_01_restored_after_erasure import lived, recovered, restored
from tests.copies import all_rows, set_back
from tests.world import World

pytestmark = pytest.mark.both_key_stores


def test_a_worker_that_runs_stops_when_it_is_set_back_under_it(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-2", temperature=21.5)
    before = all_rows(world.keystore)
    world.erase("anna")
    assert len(world.process_one("meter-2", world.clock.wall(), temperature=21).points) == 1
    with world.ring.using() as sealed_under:
        set_back(world.keystore, before)
    for _again in range(2):
        with pytest.raises(IntegrityStop, match="was set back under this worker") as stop:
            world.ring.poll()
        assert "glomska keys recover" in stop.value.hint
    with pytest.raises(LeaseOver), world.ring.using():
        pytest.fail("a key was used")
    with pytest.raises(LeaseOver):
        world.ring.fit_to_send(sealed_under)


def test_without_a_ledger_at_hand_the_custodian_is_asked(world: World) -> None:
    """As a worker of another machine does when it starts."""
    require_current(world.keystore, world.custodian)
    lived(world)
    require_current(world.keystore, world.custodian)
    back = restored(world, with_ledger=False)
    with pytest.raises(IntegrityStop, match="was restored") as stop:
        require_current(back.keystore, back.custodian)
    assert "glomska keys recover" in stop.value.hint
    recovered(back)
    require_current(back.keystore, back.custodian)
    back.close()
