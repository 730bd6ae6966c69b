"""Transactions that happen whole or not at all, files that are told to be wrong, and bytes that are really gone."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import ConfigurationFault, GlomskaError, IntegrityStop, Unreachable
from gateway.keystore import acts, migrations, rows, schema, sqlite, subjects, workers
from gateway.keystore import traces as traced
from gateway.keystore.database import KeyStore, Transaction
from gateway.keystore.schema import metadata
from gateway.model.ids import Controller, Incarnation, KeyId
from tests.postgres import PASSWORD

pytestmark = pytest.mark.both_key_stores

ONE = Controller("one")
LIFE = Incarnation(b"i" * 16)


@pytest.fixture
def keystore(tmp_path: Path, keys_url: str) -> Iterator[KeyStore]:
    opened = KeyStore.open(keys_url, state=tmp_path, password=PASSWORD.encode())
    yield opened
    opened.close()


def generation(keystore: KeyStore) -> int:
    with keystore.snapshot() as tx:
        return workers.generation(tx)


def add_life(tx: Transaction, incarnation: Incarnation = LIFE) -> None:
    if tx.execute(schema.controllers.select()).first() is None:
        tx.execute(schema.controllers.insert().values(controller=ONE, current_e=1, created=0))
    subjects.add_incarnation(tx, incarnation, controller=ONE, now=0)


def key(**changes: object) -> rows.Key:
    parts: dict[str, object] = {
        "key_id": KeyId(b"k" * 16),
        "incarnation": LIFE,
        "controller": ONE,
        "key_class": "telemetry",
        "version": 1,
        "base": 600,
        "e": 1,
        "wrapped": b"\x01" + b"planted trace" + bytes(47),
        "commitment": bytes(32),
        "state": "active",
        "valid_from": 0,
    }
    return rows.Key(**(parts | changes))  # type: ignore[arg-type]


# Opening


@pytest.mark.parametrize(
    "url",
    ["mysql://h/keys", "sqlite:///", "sqlite:keys.db", "keys.db", "postgresql:keys", ""],
)
def test_another_scheme_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault) as caught:
        KeyStore.open(url, state=tmp_path)
    assert str(caught.value) == "keys.url: only sqlite:///FILE and postgresql://USER@HOST:PORT/DATABASE are known"


def test_a_new_key_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    opened = KeyStore.open("sqlite:///keys.db", state=tmp_path / "state")
    with opened.act() as tx:
        workers.raise_generation(tx)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "state").iterdir()}
    assert set(modes) == {"keys.db", "keys.db-wal", "keys.db-shm"}
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    opened.close()


@pytest.mark.one_key_store
def test_settings_that_erasure_relies_on(keystore: KeyStore) -> None:
    with keystore.snapshot() as tx:
        found = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


def test_opening_again_keeps_what_is_there(keystore: KeyStore, tmp_path: Path, keys_url: str) -> None:
    with keystore.act() as tx:
        workers.raise_generation(tx)
    again = KeyStore.open(keys_url, state=tmp_path, password=PASSWORD.encode())
    assert generation(again) == 2
    again.close()


def foreign_file(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def refusal(state: Path) -> GlomskaError:
    with pytest.raises(GlomskaError) as caught:
        KeyStore.open("sqlite:///keys.db", state=state)
    return caught.value


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    KeyStore.open("sqlite:///keys.db", state=tmp_path).close()
    foreign_file(tmp_path / "keys.db", "PRAGMA user_version=99")
    before = (tmp_path / "keys.db").read_bytes()
    fault = refusal(tmp_path)
    assert isinstance(fault, IntegrityStop)
    assert str(fault) == f"the key store has schema version 99, this program knows {migrations.newest()}"
    assert fault.hint == "use the newer program that wrote it"
    assert (tmp_path / "keys.db").read_bytes() == before


@pytest.mark.parametrize("version", [0, 1])
def test_another_programs_file_is_refused(tmp_path: Path, version: int) -> None:
    foreign_file(tmp_path / "keys.db", "CREATE TABLE songs(title)", f"PRAGMA user_version={version}")
    fault = refusal(tmp_path)
    assert isinstance(fault, IntegrityStop)
    assert str(fault) == "the key store's database holds another program's tables"
    assert fault.hint == "name another one in keys.url"
    with sqlite3.connect(tmp_path / "keys.db") as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master")] == ["songs"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b"this is no database, but it is long enough to be one" * 40),
        lambda file: file.write_bytes(file.read_bytes()[:5000]),
        lambda file: file.write_bytes(file.read_bytes()[:100] + os.urandom(len(file.read_bytes()) - 100)),
    ],
    ids=["text", "truncated", "overwritten"],
)
def test_a_spoilt_file_is_told(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    KeyStore.open("sqlite:///keys.db", state=tmp_path).close()
    spoil(tmp_path / "keys.db")
    fault = refusal(tmp_path)
    assert isinstance(fault, IntegrityStop)
    assert str(fault).startswith("the key store is damaged or not a key store: ")
    assert fault.hint == "restore it from a backup, then look for the cause"


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Transaction) -> None:
        connection.execute(schema.state.update().values(generation=7))
        connection.exec_driver_sql("ALTER TABLE state ADD COLUMN half BIGINT")
        raise RuntimeError("power cut")

    KeyStore.open("sqlite:///keys.db", state=tmp_path).close()
    monkeypatch.setattr(migrations, "MIGRATIONS", {migrations.newest() + 1: broken})
    with pytest.raises(RuntimeError):
        KeyStore.open("sqlite:///keys.db", state=tmp_path)
    monkeypatch.undo()
    opened = KeyStore.open("sqlite:///keys.db", state=tmp_path)
    assert generation(opened) == 1
    with opened.snapshot() as tx:
        assert "half" not in {column["name"] for column in sa.inspect(tx).get_columns("state")}
    opened.close()


OPEN = """
import os, sqlite3.dbapi2, sys, tempfile
from pathlib import Path
from gateway.errors import GlomskaError
from gateway.keystore import workers
from gateway.keystore.database import KeyStore
with tempfile.TemporaryDirectory() as warm:  # what is imported late must be here before rights are given up
    KeyStore.open("sqlite:///keys.db", state=Path(warm)).close()
if os.geteuid() == 0:  # to whom no permission is refused
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    with KeyStore.open("sqlite:///keys.db", state=Path(sys.argv[1])).act() as tx:
        workers.raise_generation(tx)
except GlomskaError as fault:
    print(type(fault).__name__, fault, fault.hint, sep="|")
"""


@pytest.fixture
def anyones_directory() -> Iterator[Path]:
    """A directory that a user without rights can reach: pytest's own are its user's alone."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.parametrize("which", ["file", "directory", "no file"])
def test_what_may_not_be_written_is_told(anyones_directory: Path, which: str) -> None:
    state = anyones_directory
    if which != "no file":
        KeyStore.open("sqlite:///keys.db", state=state).close()
        (state / "keys.db").chmod(0o444 if which == "file" else 0o666)
    state.chmod(0o777 if which == "file" else 0o555)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(state)], capture_output=True, text=True, check=True, env=child_environment()
    )
    kind, message, hint = done.stdout.strip().split("|")
    assert kind == "Unreachable"
    assert message.startswith(
        "the key store does not answer: " if which == "directory" else "the key store cannot be opened for writing: "
    )
    assert "free space" in hint


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


# Transactions


def lives(tx: Transaction) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM incarnations")).scalar_one())


def test_an_act_that_raises_has_not_happened(keystore: KeyStore) -> None:
    def half(tx: Transaction) -> None:
        add_life(tx)
        workers.raise_generation(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), keystore.act() as tx:
        half(tx)
    with keystore.snapshot() as tx:
        assert lives(tx) == 0
        assert workers.generation(tx) == 1


def test_a_snapshot_does_not_see_what_is_committed_later(keystore: KeyStore) -> None:
    with keystore.snapshot() as before:
        assert workers.generation(before) == 1
        with keystore.act() as tx:
            workers.raise_generation(tx)
            add_life(tx)
        assert workers.generation(before) == 1
        assert lives(before) == 0
    assert generation(keystore) == 2


def test_a_snapshot_does_not_see_what_is_not_committed(keystore: KeyStore) -> None:
    with keystore.act() as tx:
        workers.raise_generation(tx)
        assert generation(keystore) == 1


CONCURRENT = """
import sys
from pathlib import Path
from gateway.keystore import workers
from gateway.keystore.database import KeyStore
keystore = KeyStore.open(sys.argv[2], state=Path(sys.argv[1]), password=sys.argv[3].encode())
for _ in range(25):
    with keystore.act() as tx:  # read, then write what was read: lost when two overlap
        seen = workers.generation(tx)
        tx.exec_driver_sql(f"UPDATE state SET generation = {seen + 1}")
"""


def concurrent(state: Path, url: str, count: int) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", CONCURRENT, str(state), url, PASSWORD]
    return [subprocess.Popen(command, env=child_environment()) for _ in range(count)]


def test_acts_of_several_processes_happen_one_after_another(keystore: KeyStore, tmp_path: Path, keys_url: str) -> None:
    started = concurrent(tmp_path, keys_url, 4)
    assert [process.wait() for process in started] == [0, 0, 0, 0]
    assert generation(keystore) == 1 + 4 * 25


def test_several_processes_may_open_a_new_key_store_at_once(tmp_path: Path, keys_url: str) -> None:
    started = concurrent(tmp_path, keys_url, 3)
    assert [process.wait() for process in started] == [0, 0, 0]
    opened = KeyStore.open(keys_url, state=tmp_path, password=PASSWORD.encode())
    assert generation(opened) == 1 + 3 * 25
    opened.close()


def test_threads_may_share_it(keystore: KeyStore) -> None:
    def raise_ten() -> None:
        for _ in range(10):
            with keystore.act() as tx:
                workers.raise_generation(tx)

    threads = [threading.Thread(target=raise_ten) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert generation(keystore) == 61


def test_no_fault_quotes_what_stands_in_a_column(tmp_path: Path) -> None:
    opened = KeyStore.open("sqlite:///keys.db", state=tmp_path)
    with pytest.raises((Unreachable, IntegrityStop)) as caught, opened.act() as tx:
        tx.execute(sa.text("SELECT CAST(x'63616e617279ff' AS TEXT)")).fetchall()  # "canary", and no UTF-8
    assert "canary" not in str(caught.value)
    opened.close()


def test_a_key_store_that_another_program_holds_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_MS", 50)
    opened = KeyStore.open("sqlite:///keys.db", state=tmp_path)
    with sqlite3.connect(tmp_path / "keys.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreachable) as caught, opened.act():
            pytest.fail("two acts at once")
        other.execute("ROLLBACK")
    assert str(caught.value) == "the key store does not answer: OperationalError: database is locked"
    assert caught.value.hint == "check free space and that no other program holds the key store"
    with opened.act() as tx:
        assert workers.raise_generation(tx) == 2
    opened.close()


FILL = """
import resource, signal, sys
from pathlib import Path
from gateway.errors import Unreachable
from gateway.keystore import acts, workers
from gateway.keystore.database import KeyStore
keystore = KeyStore.open("sqlite:///keys.db", state=Path(sys.argv[1]))
with keystore.act() as tx:
    acts.record_intent(tx, seq=0, act="before", now=0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with keystore.act() as tx:
        workers.raise_generation(tx)
        for seq in range(1, 10_000):
            acts.record_intent(tx, seq=seq, act="x" * 500, now=0)
except Unreachable as fault:
    print(fault, fault.hint, sep="|")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with keystore.act() as tx:
    assert acts.newest_known(tx) == 0 and workers.generation(tx) == 1, "half an act happened"
    workers.raise_generation(tx)
"""


def test_a_full_disk_undoes_the_act_and_the_next_one_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), "1000000"],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(),
    )
    message, hint = done.stdout.strip().split("|")
    assert message.startswith("the key store does not answer: OperationalError: ")
    assert hint == "check free space and that no other program holds the key store"
    opened = KeyStore.open("sqlite:///keys.db", state=tmp_path)
    assert generation(opened) == 2
    opened.close()


# Gone


def planted(keystore: KeyStore) -> bytes:
    row = key()
    with keystore.act() as tx:
        add_life(tx)
        subjects.add_keys(tx, [row], now=1)
    assert row.wrapped is not None
    return row.wrapped[:13]


def on_disk(keystore: KeyStore, needle: bytes) -> list[str]:
    return [f.name for f in sorted(keystore.path.parent.iterdir()) if needle in f.read_bytes()]


@pytest.mark.one_key_store
def test_a_destroyed_key_is_gone_from_all_files(keystore: KeyStore) -> None:
    trace = planted(keystore)
    assert on_disk(keystore, trace)
    with keystore.act() as tx:
        subjects.destroy_key(tx, KeyId(b"k" * 16))
    assert on_disk(keystore, trace), "the log still has it: this is why scrub exists"
    keystore.scrub([trace])
    assert on_disk(keystore, trace) == []


@pytest.mark.one_key_store
def test_the_scan_finds_what_is_still_there(keystore: KeyStore) -> None:
    trace = planted(keystore)
    with pytest.raises(IntegrityStop) as caught:
        keystore.scrub([b"something else", trace])
    assert str(caught.value) == "bytes of a destroyed key are still in the key store's files"
    assert caught.value.hint == "keep the files and report this; the erasure is not effective"


def found(file: Path, traces: list[bytes]) -> bool:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return traced.contains(descriptor, traces)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("more", [[], [b"shorter"], [b"not this %06d" % number for number in range(1_000)]])
def test_the_scan_finds_what_lies_across_two_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[bytes]
) -> None:
    """Short ones are looked for in another way, and with them all others."""
    monkeypatch.setattr(traced, "_SCANNED", 16)
    file = tmp_path / "file"
    for at in range(64):
        file.write_bytes(bytes(at) + b"planted trace" + bytes(64 - at))
        assert found(file, [b"planted trace", *more])
        assert not found(file, [b"planted trice", b"planned tracks", *more])
        assert not found(file, [])


@pytest.mark.parametrize("shortest", [4, 11])
def test_the_scan_of_many_finds_each_of_them_and_nothing_else(tmp_path: Path, shortest: int) -> None:
    chance, file = random.Random(1), tmp_path / "file"
    traces = [chance.randbytes(chance.randint(shortest, 60)) for _ in range(300)]
    for trace in traces:
        file.write_bytes(noise := chance.randbytes(chance.randint(0, 5_000)))
        assert found(file, traces) == any(one in noise for one in traces)
        file.write_bytes(noise + trace)
        assert found(file, traces)
        assert not found(file, [one + b"?" for one in traces if one != trace])


@pytest.mark.one_key_store
def test_a_reader_that_stays_makes_scrub_say_so(keystore: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_CHECKPOINT_TRIES", 3)
    monkeypatch.setattr(sqlite, "_BUSY_MS", 20)
    keystore.close()
    impatient = KeyStore.open("sqlite:///keys.db", state=keystore.path.parent)
    trace = planted(impatient)
    with impatient.snapshot() as reader:
        workers.generation(reader)
        with impatient.act() as tx:
            subjects.destroy_key(tx, KeyId(b"k" * 16))
        with pytest.raises(Unreachable) as caught:
            impatient.scrub([trace])
    assert str(caught.value) == "a reader keeps the key store's log open, so a destroyed key may still be in it"
    assert caught.value.hint == "end long readers of the key store (backups, shells), then repeat"
    impatient.scrub([trace])
    impatient.close()


@pytest.mark.one_key_store
def test_a_reader_that_goes_is_waited_for(keystore: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """`wal_checkpoint(TRUNCATE)` answers busy = 1 without raising, and is tried again."""
    monkeypatch.setattr(sqlite, "_BUSY_MS", 20)
    impatient = KeyStore.open("sqlite:///keys.db", state=keystore.path.parent)
    trace = planted(impatient)
    reader = sqlite3.connect(keystore.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT generation FROM state").fetchall()
    with impatient.act() as tx:
        subjects.destroy_key(tx, KeyId(b"k" * 16))
    assert on_disk(impatient, trace)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            reader.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", pause)
    impatient.scrub([trace])
    assert len(pauses) == 2
    assert on_disk(impatient, trace) == []
    reader.close()
    impatient.close()


# Keys are never brought back


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"version": 2},
        {"base": 700},
        {"key_class": "billing"},
        {"incarnation": Incarnation(b"j" * 16)},
        {"key_id": KeyId(b"K" * 16)},
        {"key_id": KeyId(b"K" * 16), "base": 700},
    ],
    ids=str,
)
def test_a_key_that_ever_existed_cannot_be_added_again(keystore: KeyStore, again: dict[str, object]) -> None:
    planted(keystore)
    with keystore.act() as tx:
        add_life(tx, Incarnation(b"j" * 16))
        subjects.destroy_key(tx, KeyId(b"k" * 16))
        subjects.move_key(tx, KeyId(b"k" * 16), state="destroyed", now=2)
    with pytest.raises(IntegrityStop) as caught, keystore.act() as tx:
        subjects.add_keys(tx, [key(**again)], now=3)
    assert str(caught.value) == "a key id or key version exists already, so this key was not added"
    assert caught.value.hint == "destroyed keys are never brought back under their id"
    with keystore.snapshot() as tx:
        (left,) = subjects.find_keys(tx, [LIFE])
        assert (left.wrapped, left.commitment, left.state) == (None, None, "destroyed")
        assert subjects.find_keys(tx, [Incarnation(b"j" * 16)]) == []


def test_every_transition_time_is_kept(keystore: KeyStore) -> None:
    planted(keystore)
    with keystore.act() as tx:
        for state, at in (("erasing", 2), ("destroyed", 3)):
            subjects.move_key(tx, KeyId(b"k" * 16), state=state, now=at)
    with keystore.snapshot() as tx:
        found = tx.execute(sa.text("SELECT state, at FROM transitions ORDER BY id")).all()
        assert [tuple(row) for row in found] == [("active", 1), ("erasing", 2), ("destroyed", 3)]
        assert subjects.key_states(tx, [KeyId(b"k" * 16), KeyId(b"?" * 16)]) == {b"k" * 16: "destroyed"}


def test_no_column_is_made_for_an_identifier() -> None:
    """Controllers are organisations; of persons there are only keyed hashes, sealed records and random ids."""
    text_columns = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.Text)
    }
    closed = {"key_class", "kind", "state", "act", "step", "area", "purpose", "controller", "boot", "purge_boot"}
    closed |= {"custodian", "residue", "scope"}
    closed |= {"outcome"}  # of an act, as its line in the ledger says it
    closed |= {"machine"}  # a hash of its machine-id(5) and name
    closed |= {"party", "process", "how", "law", "evidence", "certified", "certified_final", "name"}  # client ids
    assert {name.partition(".")[2] for name in text_columns} == closed


def test_the_role_s_ledger_is_set_once(keystore: KeyStore) -> None:
    with keystore.act() as tx:
        assert acts.known_ledger(tx) is None
        assert [acts.take_role(tx, b"l" * 16), acts.take_role(tx, b"l" * 16)] == [1, 2]
    with pytest.raises(GlomskaError) as caught, keystore.act() as tx:
        acts.take_role(tx, b"m" * 16)
    assert str(caught.value) == "this key store's acts are in another ledger than the one configured"


def _open_and_end(directory: Path) -> None:
    """Another process, as a command is: it opens the key store, commits, and ends."""
    other = KeyStore.open("sqlite:///keys.db", state=directory)
    with other.act() as tx:
        acts.record_intent(tx, seq=1 + acts.newest_known(tx), act="other", now=1)
    other.close()


def test_a_scan_does_not_let_another_process_delete_the_log_under_us(tmp_path: Path) -> None:
    """Closing a descriptor of a file drops the process's locks on it, SQLite's too; see `sqlite._held`."""
    mine = KeyStore.open("sqlite:///keys.db", state=tmp_path)
    with mine.snapshot() as tx:
        assert acts.newest_known(tx) == -1
    for number in range(3):
        mine.scrub([b"x" * 13])
        process = multiprocessing.get_context("spawn").Process(target=_open_and_end, args=(tmp_path,))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        assert (tmp_path / "keys.db-wal").exists()
        with mine.snapshot() as tx:
            assert acts.newest_known(tx) == number
    mine.close()
