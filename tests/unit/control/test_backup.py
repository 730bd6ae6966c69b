"""Backups: taken and opened again, put back on a new machine, and ended by their date and by a turnover."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import FixedClock
from gateway.control.backup import DAY, Backups, newest, restore, restore_rows
from gateway.control.certificate import lost
from gateway.control.controllers import Controllers
from gateway.control.customer import open_lineage
from gateway.control.recovery import Recovery
from gateway.control.withdrawal import Withdrawal
from gateway.errors import CustodianFault, IntegrityStop, KeyDestroyed, Unreachable, UsageFault, VerificationFailed
from gateway.keys.backup import LOCK
from gateway.keys.custodian import FileCustodian
from gateway.keystore import acts, lineages
from gateway.keystore.database import KeyStore
from gateway.keystore.schema import metadata
from gateway.model.ids import parse_controller
from gateway.runtime.config import resource
from tests.postgres import PASSWORD, Postgres
from tests.world import CONTROLLER, SQLITE, World


def backups(world: World) -> Backups:
    return Backups(world.control, world.custodian, world.directory / "backups")


def opened(fresh: Path) -> KeyStore:
    return KeyStore.open(f"sqlite:////{str(fresh).lstrip('/')}", state=fresh.parent)


def put_back(world: World, file: Path, directory: Path) -> None:
    restore(world.custodian, file, directory / "keys.db", opened)


@pytest.mark.both_key_stores
def test_it_holds_no_key_and_no_name_that_anyone_can_read(world: World) -> None:
    world.enrol("anna", "meter-1")
    file = backups(world).take()
    raw = file.read_bytes()
    for key_file in (world.directory / "kek").glob("*.key"):
        assert key_file.read_bytes() not in raw
    assert b"SQLite format" not in raw
    assert file.stat().st_mode & 0o077 == 0
    assert not list(world.directory.glob("*.copy"))


@pytest.mark.parametrize("day", [29, 30, 31])
@pytest.mark.both_key_stores
def test_on_its_date_it_opens_no_more(tmp_path: Path, keys_url: str, day: int) -> None:
    clock = FixedClock(20_000 * DAY, 10**15)
    world = World(tmp_path / "state", clock=clock, keys=keys_url)
    world.enrol("anna", "meter-1")
    file = backups(world).take(days=30)
    clock.advance(day * DAY)
    assert backups(world).expire() == (day >= 30)
    target = tmp_path / "new"
    if day < 30:
        put_back(world, file, target)
        assert (target / "keys.db").exists()
    else:
        with pytest.raises(CustodianFault, match="does not have the key of this backup, which ends on 2024-11-03"):
            put_back(world, file, target)
        assert list(target.iterdir()) == []
    world.close()


def test_with_another_custodian_it_is_not_said_to_be_dead(world: World, tmp_path: Path) -> None:
    """Nor with none. On its date nobody but the custodian knows, and a new machine's clock may be wrong."""
    world.enrol("anna", "meter-1")
    file = backups(world).take()
    other = FileCustodian(tmp_path / "another")
    with pytest.raises(Unreachable, match="holds neither key nor mark"):
        restore(other, file, tmp_path / "new" / "keys.db", opened)
    other.create(parse_controller(CONTROLLER), 1)
    with pytest.raises(CustodianFault, match="does not have the key of this backup") as fault:
        restore(other, file, tmp_path / "new" / "keys.db", opened)
    assert fault.value.hint.startswith("mount or connect the custodian that it was made with; if its date has come, ")
    assert list((tmp_path / "new").iterdir()) == []
    put_back(world, file, tmp_path / "new")
    assert (tmp_path / "new" / "keys.db").exists()


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[World]:
    """A world with a lock whose date came 500 days ago."""
    clock = FixedClock(20_000 * DAY, 10**15)
    world = World(tmp_path / "state", clock=clock)
    world.enrol("anna", "meter-1")
    backups(world).take(days=30)
    clock.advance(530 * DAY)
    yield world
    world.close()


def test_a_lock_goes_however_long_nobody_looked(aged: World) -> None:
    assert backups(aged).expire() == 1
    assert not aged.custodian.exists(LOCK, 20_030)
    assert backups(aged).expire() == 0
    backups(aged).take(days=0)
    assert backups(aged).expire() == 1, "of a day on which others have gone too"


def test_a_lock_that_could_not_be_destroyed_goes_the_next_time(aged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object) -> None:
        raise CustodianFault("the custodian is away")

    with monkeypatch.context() as patch:
        patch.setattr(FileCustodian, "destroy", away)
        with pytest.raises(CustodianFault):
            backups(aged).expire()
    assert backups(aged).expire() == 1
    assert not aged.custodian.exists(LOCK, 20_030)


def test_two_of_one_moment_are_two(tmp_path: Path) -> None:
    """A gateway and a command may both be at the end of a turnover."""
    world = World(tmp_path / "state", clock=FixedClock(20_000 * DAY, 10**15))
    world.enrol("anna", "meter-1")
    files = {backups(world).take(), backups(world).take()}
    assert len(files) == 2
    assert all(file.exists() for file in files)
    world.close()


@pytest.mark.parametrize("ahead", [DAY, 0], ids=["clock put right", "one second"])
def test_the_newest_is_kept_whatever_the_clock_said(tmp_path: Path, ahead: int) -> None:
    """Else a turnover would go on to destroy what opens all that are left."""
    clock = FixedClock(20_000 * DAY + ahead, 10**15)
    world = World(tmp_path / "state", clock=clock)
    world.enrol("anna", "meter-1")
    while world.ledger.head.seq < 91:  # then sequences get a digit more
        with world.control.act("enrol"):
            pass
    made = [backups(world).take() for _ in range(4)]
    clock.advance(-ahead)
    made.append(backups(world).take())
    assert [file.exists() for file in made] == [False, False, True, True, True]
    world.close()


def test_what_is_no_backup_is_left_alone(world: World) -> None:
    world.enrol("anna", "meter-1")
    file = backups(world).take()
    (stray := file.with_name("0.backup")).touch()
    for _ in range(3):
        backups(world).take()
    assert stray.exists()
    assert newest(file.parent) is not None


@pytest.mark.both_key_stores
def test_one_of_before_an_exit_brings_back_the_other_controllers(tmp_path: Path, keys_url: str) -> None:
    world = World(tmp_path / "state", keys=keys_url)
    world.enrol("anna", "meter-1")
    world.enrol("zoe", "meter-9", controller="other")
    world.publish("meter-1", temperature=20)
    file = backups(world).take()
    world.ring.leave()
    exits = Controllers(world.control, world.custodian, lambda: world.policy, world.certificates)
    exits.exit(parse_controller("other"))
    ledger = world.ledger.path.parent
    world.close()
    put_back(world, file, tmp_path / "new")
    shutil.copytree(world.directory / "kek", tmp_path / "new" / "kek")
    shutil.copytree(ledger, tmp_path / "new" / "ledger")
    shutil.copy(world.signing_key.file, tmp_path / "new" / world.signing_key.file.name)
    back = World(tmp_path / "new")
    Recovery(back.control, back.custodian, Withdrawal(back.control, back.custodian, lambda: back.policy)).run()
    with back.keystore.snapshot() as tx:
        assert lineages.has_left(tx, parse_controller("other"))
        assert open_lineage(tx, back.custodian, parse_controller(CONTROLLER)).e == 1
    back.close()


@pytest.mark.both_key_stores
def test_a_turnover_ends_it(world: World) -> None:
    world.enrol("anna", "meter-1")
    file = backups(world).take()
    world.custodian.destroy(parse_controller(CONTROLLER), 1)
    with pytest.raises(CustodianFault):
        put_back(world, file, world.directory.parent / "new")
    assert list((world.directory.parent / "new").iterdir()) == []


def test_one_that_was_cut_or_changed_is_refused(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    raw = backups(world).take().read_bytes()
    damaged = tmp_path / "damaged"
    for number, data in enumerate((raw[:-1], raw[: len(raw) // 2], raw[:-5] + b"x" + raw[-4:], raw + b"x")):
        damaged.write_bytes(data)
        with pytest.raises(VerificationFailed):
            put_back(world, damaged, tmp_path / f"new-{number}")
    damaged.write_bytes(b"something else")
    with pytest.raises(UsageFault, match="is not a backup"):
        put_back(world, damaged, tmp_path / "new")


def test_it_is_put_back_over_nothing_that_is_there(world: World) -> None:
    world.enrol("anna", "meter-1")
    file = backups(world).take()
    with pytest.raises(UsageFault, match="there is a key store at"):
        put_back(world, file, world.directory)


@pytest.mark.parametrize("part", ["-wal", "-shm", "-journal"])
def test_it_is_not_put_beside_what_another_key_store_left(world: World, tmp_path: Path, part: str) -> None:
    """SQLite would bring an old log into the restored file."""
    file = backups(world).take()
    left = tmp_path / f"keys.db{part}"
    left.write_bytes(b"old")
    with pytest.raises(UsageFault, match="there is a key store at"):
        put_back(world, file, tmp_path)
    assert list(tmp_path.glob("keys.db*")) == [left]


def test_copies_that_a_killed_process_left_go_with_the_next_backup(world: World) -> None:
    directory = world.directory / "backups"
    directory.mkdir(mode=0o700)
    old, others = [directory / name for name in ("1.copy", "1.copy-wal", "x.backup.1.new")], directory / "2.copy"
    for left in (*old, others):
        left.write_bytes(b"a whole key store")
    for left in old:
        os.utime(left, (0, 0))
    file = backups(world).take()
    assert sorted(directory.iterdir()) == sorted([others, file])


def test_one_of_postgresql_comes_back_as_either(postgres: Postgres, tmp_path: Path) -> None:
    world = World(tmp_path / "state", keys=postgres.database())
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.turn_over()
    world.read("anna")
    world.ring.leave()
    world._registered = False
    file = backups(world).take()
    assert [left.name for left in (world.directory / "backups").iterdir()] == [file.name]
    with pytest.raises(UsageFault, match="there is a key store already"):
        restore_rows(world.custodian, file, world.keystore, tmp_path, opened)
    for table in metadata.sorted_tables:
        with world.keystore.snapshot() as tx:
            assert tx.execute(table.select()).fetchall() or table.name not in {"keys", "routes", "acts", "state"}
    world.close()
    for number, url in enumerate((postgres.database(), SQLITE)):
        there = tmp_path / f"new-{number}"
        shutil.copytree(world.directory, there)
        (there / "keys.url").unlink()
        if number:
            restore(world.custodian, file, there / "keys.db", opened)
        else:
            empty = KeyStore.open(url, state=there, password=PASSWORD.encode())
            restore_rows(world.custodian, file, empty, there, opened)
            empty.close()
        back = World(there, keys=url)
        assert back.read("anna").value.tolist() == [21.5]
        assert len(back.publish("meter-1", temperature=22).points) == 1
        assert len(back.read("anna")) == 2
        back.enrol("bo", "meter-2")
        back.erase("anna")
        back.ledger.verify()
        back.close()


@pytest.mark.both_key_stores
def test_the_disaster_drill(world: World, tmp_path: Path) -> None:
    """As docs/operations.md has it: the medium is dead; keys, ledger and configuration come back on a new machine."""
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    for device in ("meter-1", "meter-2"):
        world.publish(device, temperature=21.5)
    world.ring.leave()
    world._registered = False
    elsewhere = tmp_path / "elsewhere"
    world.enrol("cia", "meter-3")
    world.erase("cia")
    backup = backups(world).take(elsewhere / "keys.backup")
    world.erase("anna")  # after the backup, and in the ledger's copy
    for name in ("ledger", "certificates"):
        shutil.copytree(world.directory / name, elsewhere / name)
    shutil.copy(resource("policy.toml"), elsewhere)

    new = tmp_path / "new"
    new.mkdir(mode=0o700)
    shutil.copytree(world.directory / "kek", new / "kek")  # the custodian's medium, moved over
    shutil.copy(world.directory / "signing.key", new)
    shutil.copy(world.directory / "readings.db", new)
    put_back(world, backup, new)
    for name in ("ledger", "certificates"):
        shutil.copytree(elsewhere / name, new / name)
    there = World(new)
    with pytest.raises(IntegrityStop, match="restored from a copy"):
        there.control.check()
    found = Recovery(
        there.control, there.custodian, Withdrawal(there.control, there.custodian, lambda: there.policy)
    ).run()
    assert (found.erased, found.missing) == (1, [])
    there.erasures.resume()
    assert there.read("bo").value.tolist() == [21.5]
    with pytest.raises(KeyDestroyed):
        there.read("anna")
    assert len(there.publish("meter-2", temperature=22).points) == 1
    there.ledger.verify()
    with there.keystore.snapshot() as tx:
        erased = acts.all_erasures(tx)
    assert [lost(new / "certificates", found) for found in erased] == [[], []]
    for place in (elsewhere / "certificates").iterdir():  # there is no second one of the same
        assert (new / "certificates" / place.name).read_bytes() == place.read_bytes(), (
            "who holds one holds the only one"
        )
    there.close()
