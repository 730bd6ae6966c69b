"""The file itself: what is in its bytes, who may open it, and what its faults are called."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault
from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import SealedPoint, Series
from gateway.transport.sqlite import SqliteStore
from gateway.transport.store import StoreUnreachable

EVER = (-(2**63), 2**63 - 1)
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
NOBODY = 65_534
random_ = random.Random(7)


def new_series() -> Series:
    return Series("telemetry", Pseudonym("".join(random_.choices(BASE32, k=26))), "SE3", KeyId(b""))


def points(series: Series, count: int, first: int = 0, mark: str = "AQE") -> list[SealedPoint]:
    return [
        SealedPoint(series, first + k, "s_1d", mark + "".join(random_.choices(BASE32, k=random_.randint(40, 60))))
        for k in range(count)
    ]


def count(path: Path, series: Series) -> int:
    with closing(SqliteStore(path)) as store:
        return len(list(store.query("telemetry", [series.pseudonym], *EVER)))


def bytes_on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "readings.db"


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Root may write everything, so root's tests of permissions become nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_deleted_is_gone_from_the_bytes_of_all_files(path: Path) -> None:
    homes = [new_series() for _ in range(20)]
    gone = homes[3:7]
    with closing(SqliteStore(path)) as store:
        for batch in range(60):  # pages fill, split and are written over
            mixed = [
                p for home in homes for p in points(home, 20, 20 * batch, "GONEGONE" if home in gone else "STAYSTAY")
            ]
            random_.shuffle(mixed)
            store.write(mixed)
        store.write(points(gone[0], 100, 50, "GONEGONE"))  # replaced values leave too
        before = bytes_on_disk(path.parent)
        assert b"GONEGONE" in before
        assert store.delete(["telemetry"], [home.pseudonym for home in gone]) == 4 * 1_200
        after = bytes_on_disk(path.parent)
        assert b"STAYSTAY" in after
        assert after.count(b"GONEGONE") == 0
        assert not any(home.pseudonym.encode() in after for home in gone)


def test_replaced_values_are_gone_once_the_log_is_emptied(path: Path) -> None:
    home = new_series()
    with closing(SqliteStore(path)) as store:
        store.write(points(home, 500, mark="OLDVALUE"))
        store.write(points(home, 500, mark="NEWVALUE"))
        store.delete(["telemetry"], [new_series().pseudonym])
        assert b"OLDVALUE" not in bytes_on_disk(path.parent)
        assert b"NEWVALUE" in bytes_on_disk(path.parent)


def test_an_open_reader_makes_delete_say_that_the_log_still_holds_it(path: Path) -> None:
    home = new_series()
    with closing(SqliteStore(path, timeout_s=0.2)) as store, closing(sqlite3.connect(path)) as reader:
        store.write(points(home, 10, mark="GONEGONE"))
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM point").fetchone() == (10,)
        with pytest.raises(StoreUnreachable, match="write-ahead log still holds them: a reader is open") as fault:
            store.delete(["telemetry"], [home.pseudonym])
        assert "end the process that reads this file" in fault.value.hint
        assert b"GONEGONE" in bytes_on_disk(path.parent)
        reader.rollback()
        assert store.delete(["telemetry"], [home.pseudonym]) == 0
        assert b"GONEGONE" not in bytes_on_disk(path.parent)


def test_delete_waits_for_a_reader_that_leaves(path: Path) -> None:
    home = new_series()
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path, check_same_thread=False)) as reader:
        store.write(points(home, 10, mark="GONEGONE"))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM point").fetchone()
        leaving = threading.Timer(0.2, reader.rollback)
        leaving.start()
        assert store.delete(["telemetry"], [home.pseudonym]) == 10
        leaving.join()
        assert b"GONEGONE" not in bytes_on_disk(path.parent)


def test_a_commit_is_synced_and_space_is_overwritten(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        settings = [
            store._writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete")
        ]
    assert settings == ["wal", 2, 1]


def test_only_its_owner_may_read_the_file_and_its_log(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.write(points(new_series(), 1))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"readings.db": 0o600, "readings.db-wal": 0o600, "readings.db-shm": 0o600}


def write_in_a_process(path: Path, home: Series, batches: int) -> None:
    with closing(SqliteStore(path)) as store:
        for batch in range(batches):
            store.write(points(home, 50, 50 * batch))


def test_several_processes_create_write_and_read_one_file(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    homes = [new_series() for _ in range(3)]
    processes = [context.Process(target=write_in_a_process, args=(path, home, 20)) for home in homes]
    for process in processes:
        process.start()
    with closing(SqliteStore(path)) as store:
        seen = 0
        while any(process.is_alive() for process in processes):
            now = len(list(store.query("telemetry", [home.pseudonym for home in homes], *EVER)))
            assert now >= seen
            seen = now
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [count(path, home) for home in homes] == [1_000, 1_000, 1_000]


def test_a_batch_that_fails_leaves_nothing_and_the_next_one_is_whole(path: Path) -> None:
    home, other = new_series(), new_series()
    with closing(SqliteStore(path)) as store:
        store.write(points(home, 10))
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreUnreachable, match="lies on a full disk") as full:
            store.write(points(other, 1_000))
        assert "free some space" in full.value.hint
        assert list(store.query("telemetry", [other.pseudonym], *EVER)) == []
        store._writer.execute("PRAGMA max_page_count = 1000000")
        store.write(points(other, 1_000))
        assert len(list(store.query("telemetry", [other.pseudonym], *EVER))) == 1_000
        assert len(list(store.query("telemetry", [home.pseudonym], *EVER))) == 10


def test_a_newer_file_is_refused_and_not_touched(path: Path) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with pytest.raises(ConfigurationFault, match="newer version or by another program"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_another_programs_file_is_refused_and_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE photographs(id)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationFault, match="newer version or by another program"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_called_that(path: Path) -> None:
    path.write_bytes(b"readings, but not in SQLite\n" * 200)
    with pytest.raises(StoreUnreachable, match="is no SQLite database"):
        SqliteStore(path)


def test_a_damaged_file_is_called_that(path: Path) -> None:
    home = new_series()
    with closing(SqliteStore(path)) as store:
        store.write(points(home, 2_000))
    whole = bytearray(path.read_bytes())
    for page in range(4096 * 4, len(whole), 4096):
        whole[page : page + 64] = b"\xa5" * 64
    path.write_bytes(whole)
    with closing(SqliteStore(path)) as store, pytest.raises(StoreUnreachable, match="is damaged") as fault:
        list(store.query("telemetry", [home.pseudonym], *EVER))
    assert home.pseudonym not in str(fault.value)


def test_a_directory_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="cannot be opened") as fault:
        SqliteStore(tmp_path / "absent" / "readings.db")
    assert "its directory exists" in fault.value.hint


def test_a_file_that_may_only_be_read_is_named_with_what_to_do(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o444)
    for parent in takewhile(lambda parent: parent != Path(tempfile.gettempdir()), path.parents):
        parent.chmod(0o777)
    with as_ordinary_user(), pytest.raises(StoreUnreachable, match="cannot be written") as fault:
        SqliteStore(path)
    assert "permission" in fault.value.hint


def test_a_lock_that_stays_is_named_with_what_to_do(path: Path) -> None:
    with closing(SqliteStore(path, timeout_s=0.1)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnreachable, match="is locked by another process"):
            store.write(points(new_series(), 1))
        health = store.health()
        assert (health.ok, bool(health.hint)) == (False, True)


def test_series_in_the_cache_stay_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.transport.sqlite.CACHED_SERIES", 16)
    homes = [new_series() for _ in range(100)]
    with closing(SqliteStore(path)) as store:
        for k in range(2):
            store.write([p for home in homes for p in points(home, 1, k)])
        assert len(store._series) <= 16
        assert len(list(store.query("telemetry", [home.pseudonym for home in homes], *EVER))) == 200
