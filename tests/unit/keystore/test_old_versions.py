"""A key store of every past version opens, with its key file, and reads what was sealed under it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.clock import FixedClock
from gateway.errors import KeyDestroyed
from gateway.keys.handle import Device, Window
from gateway.keys.ring import Ring
from gateway.keystore import workers
from gateway.keystore.database import KeyStore
from gateway.keystore.migrations import newest
from gateway.model.sealed import Reason, SealedPoint
from tests import vectors
from tests.postgres import PASSWORD
from tests.world import DAY, SQLITE, World, topic

pytestmark = pytest.mark.both_key_stores

VERSIONS = sorted(
    (version for path in vectors.__path__ for version in (Path(path) / "keystore").glob("v*")),
    key=lambda version: int(version.name[1:]),
)


def expected(version: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((version / "expected.json").read_text())
    return found


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def version(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def restored(tmp_path: Path, version: Path, keys_url: str, request: pytest.FixtureRequest) -> Iterator[World]:
    """A world around the old files. Version control keeps no modes, so the key file gets its own back."""
    state = tmp_path / "state"
    (state / "kek").mkdir(parents=True, mode=0o700)
    if keys_url == SQLITE:
        shutil.copy(version / "keys.db", state)
    else:
        request.getfixturevalue("postgres").load(keys_url, version / "keys.sql")
    for key_file in version.glob("*.key"):
        shutil.copy(key_file, state / "kek")
        (state / "kek" / key_file.name).chmod(0o600)
    made = World(state, clock=FixedClock(expected(version)["now"], 10**15), keys=keys_url)
    yield made
    made.close()


def test_there_is_one_of_every_version() -> None:
    assert [path.name for path in VERSIONS] == [f"v{n}" for n in range(1, newest() + 1)]


def test_it_is_brought_up_to_date(restored: World) -> None:
    query = "PRAGMA user_version" if restored.keys == SQLITE else "SELECT version FROM glomska_schema"
    assert restored.sql(query) == [(newest(),)]


def test_its_tables_are_those_of_a_new_one(restored: World, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = SQLITE if restored.keys == SQLITE else request.getfixturevalue("postgres").database()
    fresh = KeyStore.open(url, state=tmp_path / "fresh", password=PASSWORD.encode())
    assert tables(restored.keystore) == tables(fresh)
    fresh.close()


def tables(keystore: KeyStore) -> dict[str, object]:
    """Columns, keys and indexes by table, as the database has them; the order of columns does not matter."""
    with keystore.snapshot() as tx:
        seen = sa.inspect(tx)
        return {
            name: (
                sorted((c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(name)),
                seen.get_pk_constraint(name)["constrained_columns"],
                sorted((f["constrained_columns"], f["referred_table"]) for f in seen.get_foreign_keys(name)),
                sorted((i["column_names"], bool(i["unique"])) for i in seen.get_indexes(name)),
                sorted(u["column_names"] for u in seen.get_unique_constraints(name)),
            )
            for name in seen.get_table_names()
        }


def test_what_was_sealed_is_read(restored: World, version: Path) -> None:
    told = expected(version)
    points = [
        SealedPoint.parse(
            measurement="telemetry",
            pseudonym=point["series"],
            area="SE3",
            time=point["time"],
            field=point["field"],
            value=point["value"],
        )
        for point in told["points"]
    ]
    assert restored.store.write(points).kept == ()
    table = restored.read("anna", start=told["now"] - 60 * DAY)
    found = {(t, q): v for t, q, v in zip(table.time.tolist(), table.quantity, table.value.tolist(), strict=True)}
    times = {point["time"] for point in told["points"][:3]}
    assert found == {(time, name): value for time in times for name, value in told["plaintext"].items()}
    assert set(table.device) == set(told["devices"][:2])
    with pytest.raises(KeyDestroyed):
        restored.read("bert")


def test_what_is_sealed_now_is_what_was_sealed_then(restored: World, version: Path) -> None:
    """A redelivery after an upgrade must overwrite, not add."""
    told = expected(version)
    again = [
        (point.series.pseudonym, point.time, point.field, point.value)
        for device, point in zip(("meter-1", "meter-1", "meter-2"), told["points"], strict=False)
        for point in restored.publish(device, point["time"], **told["plaintext"]).points
    ]
    assert again == [(p["series"], p["time"], p["field"], p["value"]) for p in told["points"][:3]]


def test_its_fences_hold(restored: World, version: Path) -> None:
    now = expected(version)["now"]
    restored.register()
    assert at(restored.ring, "meter-3", now) is Reason.ERASED
    assert isinstance(at(restored.ring, "meter-1", now), Window)


def at(ring: Ring, device: str, time: int) -> Window | Reason:
    with ring.using():
        (found,) = ring.resolve([topic(device)])
        assert isinstance(found, Device)
        return found.at(time)


def test_opening_it_twice_changes_nothing_more(restored: World) -> None:
    before = restored.sql("SELECT * FROM keys ORDER BY key_id"), tables(restored.keystore)
    KeyStore.open(restored.keys, state=restored.directory, password=PASSWORD.encode()).close()
    assert (restored.sql("SELECT * FROM keys ORDER BY key_id"), tables(restored.keystore)) == before


def test_machines_with_queues_are_those_of_workers_that_had_a_name(tmp_path: Path) -> None:
    """In a key store of version 4: one of a gateway, one that only read, and one of before there were names."""
    (path,) = (version for version in VERSIONS if version.name == "v4")
    shutil.copy(path / "keys.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "keys.db")) as db, db:
        for worker, (name, process) in enumerate([("glomska-1", "there b p 1 2"), ("", "read b p 1 2"), ("old", "")]):
            row = (bytes([worker]) * 16, "b", 1, 1, 1, 1, name, process)
            db.execute(
                "INSERT INTO workers (worker, boot, generation, lease, deadline, renewed, name, process) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
    keystore = KeyStore.open(SQLITE, state=tmp_path)
    with keystore.snapshot() as tx:
        assert workers.with_queues(tx) == {"there"}
    keystore.close()
