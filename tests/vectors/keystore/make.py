"""Makes `vN`: a key store of schema version N, the newest, with its key file, and readings sealed under it.

Run once for each version, then kept.

Formats are for ever, so the files are never made again: a later version of this program must open them as they are.
Identifiers here are invented. The key file is public: it protects nothing.

    python -m tests.vectors.keystore.make
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path

from gateway.clock import FixedClock
from gateway.keystore import schema
from gateway.keystore.database import KeyStore
from gateway.keystore.migrations import newest
from gateway.model.ids import parse_controller, parse_customer, parse_device
from gateway.model.sealed import SealedPoint
from tests.postgres import Postgres
from tests.world import CANARY, CONTROLLER, DAY, World, ns

HERE = Path(__file__).parent / f"v{newest()}"
_NOISE = ("--", "\\r", "\\u")  # comments, and what only the psql of one day understands
NOW = ns("2026-03-01T00:00:00+00:00")


def main() -> None:
    if HERE.exists():
        raise SystemExit(f"{HERE.name} exists, and is never made again")
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "state", clock=FixedClock(NOW, 10**15))
        world.enrol("anna", "meter-1", "meter-2", purposes=["development"])
        world.enrol("bert", "meter-3")
        messages = [("meter-1", NOW), ("meter-1", NOW - 1_000_000), ("meter-2", NOW - 10 * DAY), ("meter-3", NOW)]
        points = [
            point
            for device, time in messages
            for point in world.publish(device, time, temperature=21.25, power=-7, energy=12345.678).points
        ]
        world.erase("bert")
        world.ring.leave()
        world._registered = False
        _save(world, points)
        world.close()


def _save(world: World, points: list[SealedPoint]) -> None:
    HERE.mkdir()
    with sqlite3.connect(world.directory / "keys.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("VACUUM INTO ?", (str(HERE / "keys.db"),))
    dump(HERE)
    (key_file,) = (world.directory / "kek").glob("*.key")
    (HERE / key_file.name).write_bytes(key_file.read_bytes())
    expected = {
        "controller": parse_controller(CONTROLLER),
        "customer": parse_customer(CANARY + "anna"),
        "erased customer": parse_customer(CANARY + "bert"),
        "devices": [parse_device(CANARY + f"meter-{n}") for n in (1, 2, 3)],
        "now": NOW,
        "plaintext": {"temperature": 21.25, "power": -7, "energy": 12345.678},
        "points": [
            {
                "series": point.series.pseudonym,
                "time": point.time,
                "field": point.field,
                "value": point.value,
            }
            for point in points
        ],
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2, ensure_ascii=False) + "\n")


def dump(version: Path) -> None:
    """The same key store as PostgreSQL has it, in SQL: `keys.db` must be of the newest version."""
    with Postgres() as server, sqlite3.connect(version / "keys.db") as db:
        url = server.database()
        keystore = KeyStore.open(url, state=version, password=server.password)
        db.row_factory = sqlite3.Row
        with keystore.act() as tx:
            tx.execute(schema.state.delete())
            for table in schema.metadata.sorted_tables:
                found = [dict(row) for row in db.execute(f"SELECT * FROM {table.name}")]  # noqa: S608 - ours
                if found:
                    tx.execute(table.insert(), found)
            for name, column in (("transitions", "id"), ("accesses", "seq")):
                highest = f"(SELECT max({column}) FROM {name})"  # noqa: S608
                tx.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), {highest})")
        keystore.close()
        lines = server.dump(url).splitlines(keepends=True)
        (version / "keys.sql").write_text("".join(line for line in lines if line.strip() and line[:2] not in _NOISE))


if __name__ == "__main__":
    main()
