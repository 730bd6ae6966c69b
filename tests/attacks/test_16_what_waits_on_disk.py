"""Attack 16: what waits on disk (a spool, dead letters) brings an erased customer back, or can still be read.

A worker that cannot reach its store fills its spool and ends. Its customer is erased. What waits is overwritten where
it lies; a copy of the spool from before, put back, is drained without that customer's points, which are counted; and no
key that is left opens one of them.
"""

from __future__ import annotations

import itertools
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from gateway.control.erasure import Erasures
from gateway.errors import KeyDestroyed, VerificationFailed
from gateway.keys.subject import open_subject
from gateway.keystore import subjects
from gateway.model.ids import DeviceId, Incarnation, KeyId, epoch_of
from gateway.model.sealed import SealedPoint
from gateway.transport.spool import Spools
from gateway.transport.spool.record import Record, scan
from tests.unit.control.test_erasure import lineage_and_incarnation, subject
from tests.unit.runtime.test_spooling import spooled
from tests.unit.runtime.test_worker import until
from tests.world import CANARY, SECOND, World

pytestmark = pytest.mark.both_key_stores


def filled(world: World) -> Path:
    """Twenty readings of anna's and ten of bert's wait, and the worker has ended; the spool's directory."""
    world.enrol("anna", "meter-1", "meter-2")
    world.enrol("bert", "meter-3")
    brief(world)
    with spooled(world) as run:
        run.store.open.clear()
        for number, device in enumerate(("meter-1", "meter-2", "meter-3")):
            run.put(1 + 10 * number, 10, device)
        run.line.wait(30)
    return world.directory / "spool" / "gateway-1"


def brief(world: World) -> None:
    """Its lease, which is left to run out when requests were given up, and which an erasure waits for."""
    world.lease._length = SECOND


def waiting(spool: Path) -> list[SealedPoint]:
    """Every point that stands in the files of a spool, drained or not."""
    found = itertools.chain.from_iterable(scan(file.read_bytes()) for file in sorted(spool.glob("*.seg")))
    return [record.point() for record in found if isinstance(record, Record) and record.key_id != KeyId(bytes(16))]


def erased(world: World) -> list[SealedPoint]:
    """Erase anna as `erase` does, spools included; what waited of hers."""
    key_ids = keys_of(world, "anna")
    theirs = [point for point in waiting(world.directory / "spool" / "gateway-1") if point.series.key_id in key_ids]
    queues = {"spool": Spools(world.directory / "spool", max_bytes=1 << 20)}
    inventory = {"readings": world.store}
    erasures = Erasures(world.control, world.custodian, inventory, queues, policy=lambda: world.policy)
    with world.polling():
        erasures.erase(*subject("anna"))
    assert len(theirs) == 20
    return theirs


def keys_of(world: World, customer: str) -> set[KeyId]:
    _lineage, incarnation = lineage_and_incarnation(world, customer)
    with world.keystore.snapshot() as tx:
        return {row.key_id for row in subjects.find_keys(tx, [incarnation])}


def test_what_waits_is_overwritten_where_it_lies(world: World) -> None:
    spool = filled(world)
    theirs = erased(world)
    held = b"".join(file.read_bytes() for file in spool.glob("*.seg"))
    assert not [p for p in theirs if p.value.encode() in held or p.series.pseudonym.encode() in held]
    assert len(waiting(spool)) == 10


def test_what_is_put_back_is_dropped_and_counted(world: World, tmp_path: Path) -> None:
    spool = filled(world)
    shutil.copytree(spool, tmp_path / "copy")
    erased(world)
    shutil.rmtree(spool)
    shutil.copytree(tmp_path / "copy", spool)
    with closing(World(world.directory)) as restarted, spooled(restarted) as run:
        until(lambda: run.spools.size() == 0)
        counted = run.spooling.counted
    assert (counted.drained, counted.erased, counted.damaged) == (10, 20, 0)
    assert len(world.points()) == len(world.read("bert")) == 10


def test_no_key_that_is_left_opens_it(world: World) -> None:
    """Not even with the names of anna's devices at hand."""
    filled(world)
    theirs = erased(world)
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    lineage, incarnation = lineage_and_incarnation(world, "bert")
    opened = 0
    with world.keystore.snapshot() as tx:
        key_rows = subjects.find_keys(tx, [Incarnation(incarnation)])
        keys = [key for versions in open_subject(lineage, incarnation, key_rows).keys.values() for key in versions]
    for point, device in itertools.product(theirs, ("meter-1", "meter-2")):
        for key in keys:
            if key.key_class != point.series.measurement:
                continue
            series = key.series(DeviceId(CANARY + device), epoch_of(point.time), area="SE3")
            try:
                series.open(point.field, point.time, 0, point.value)
                opened += 1
            except VerificationFailed:
                pass
    assert opened == 0
