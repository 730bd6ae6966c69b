"""Another policy while readings flow: it holds from the next batch on, and no message is lost or stored twice.

It holds for what forgets as well: turnovers and erasures of the process that was told.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import PolicyFault
from gateway.keystore import accounts
from gateway.model.sealed import Reason
from gateway.runtime.config import resource
from gateway.runtime.reloading import reload
from tests.integration.test_worker import MS, PATIENCE, Load, Served, Servers, embedded, publish, working
from tests.unit.control.test_erasure import subject
from tests.world import Message, World, message

SHIPPED = resource("policy.toml").read_text(encoding="utf-8")
WITHOUT_POWER = re.sub(r'"power", |, "power"|"power"', "", SHIPPED)  # no purpose uses it


@dataclass
class Under(Servers):
    """The same servers, under a policy in a file that a test may change."""

    policy: Path = Path()

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"GLOMSKA_POLICY": str(self.policy)}


def readings(world: World, first: int, count: int) -> list[Message]:
    begin = world.clock.wall() // (3_600_000 * MS) * 3_600_000 * MS - 7_200_000 * MS
    return [message("meter-1", begin + n * MS, temperature=20.0, power=n) for n in range(first, first + count)]


def fields(state: Path) -> Counter[str]:
    with contextlib.closing(sqlite3.connect(state / "readings.db", timeout=PATIENCE)) as db:
        query = "SELECT field.name FROM point JOIN field ON field.id = point.field"
        return Counter(name for (name,) in db.execute(query))


def change(served: Served, policy: Path, text: str) -> None:
    policy.write_text(text, encoding="utf-8")
    reload(served.house, served.worker)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(SHIPPED, encoding="utf-8")
    return file


def test_the_new_policy_holds_for_what_comes_next(world: World, policy: Path) -> None:
    assert WITHOUT_POWER != SHIPPED
    world.enrol("anna", "meter-1")
    with embedded() as servers, working(Under(servers.broker, servers.store_url, policy=policy), world.directory) as at:
        publish(servers, readings(world, 0, 100))
        at.wait(100)
        change(at, policy, WITHOUT_POWER)
        publish(servers, readings(world, 100, 50))
        at.wait(150)
        with pytest.raises(PolicyFault):
            change(at, policy, SHIPPED.replace('unit = "W"', 'unit = "horse power"'))
        publish(servers, readings(world, 150, 50))
        at.wait(200)
        change(at, policy, SHIPPED)
        publish(servers, readings(world, 200, 100))
        at.wait(300)
        assert at.worker.metrics.refused_readings == {"no_purpose": 100}
    assert fields(world.directory) == {"s_9": 200, "s_1": 100}


def test_many_changes_under_load_lose_and_double_nothing(world: World, policy: Path) -> None:
    world.enrol("anna", "meter-1")
    changes = 0
    with embedded() as servers, working(Under(servers.broker, servers.store_url, policy=policy), world.directory) as at:
        with Load(servers, lambda first, last: readings(world, first, last - first)) as load:
            while at.stored < 1000 or changes < 20:
                change(at, policy, SHIPPED if changes % 2 else WITHOUT_POWER)
                changes += 1
        at.wait(total := load.sent)
        metrics = at.worker.metrics
        assert (metrics.stored, metrics.refused, metrics.redelivered) == (total, {}, 0)
    found = fields(world.directory)
    assert found.total() == total
    assert set(found) <= {"s_9", "s_1"}
    assert found["s_1"] == metrics.refused_readings.get(Reason.NO_PURPOSE, 0)


def test_turnovers_and_erasures_that_were_built_before_obey_the_new_policy(world: World, policy: Path) -> None:
    """A mended typo in a retention must not end months at the next turnover, nor a new hold be passed over."""
    world.enrol("anna", "meter-1")
    policy.write_text(re.sub(r"^retention_months = \d+", "retention_months = 1", SHIPPED, flags=re.MULTILINE))
    with embedded() as servers, working(Under(servers.broker, servers.store_url, policy=policy), world.directory) as at:
        turnovers, erasures = at.house.turnovers, at.house.erasures  # as housekeeping has them
        assert {kept.retention_months for kept in turnovers.verdict().policy.key_classes.values() if kept.ratchets} == {
            1
        }
        change(at, policy, SHIPPED + '\n[hold.telemetry]\nmonths = 2\nlaw = "Book-keeping Act"\n')
        assert turnovers.verdict().policy is at.house.policy
        erased = erasures.erase(*subject("anna"))
        with at.house.keystore.snapshot() as tx:
            assert [hold.key_class for hold in accounts.holds_of(tx, erased.erasure)] == ["telemetry"]
        assert (at.house.turnovers, at.house.erasures) == (turnovers, erasures), "what they have noted is kept"
