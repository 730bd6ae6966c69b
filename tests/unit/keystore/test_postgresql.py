"""What PostgreSQL alone can do to a key store: refuse it, go away and come back, be a standby, be killed."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault, GlomskaError, IntegrityStop, NotThere, Unreachable
from gateway.keystore import migrations, postgresql, rows, workers
from gateway.keystore.database import KeyStore
from tests.postgres import PASSWORD, Postgres

WORKER = rows.Worker(worker=b"w" * 16, boot="boot", generation=1, lease=10**9, deadline=0, renewed=5)


def opened(url: str, *, create: bool = True, password: str = PASSWORD) -> KeyStore:
    return KeyStore.open(url, state=Path("/nonexistent"), create=create, password=password.encode())


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def keystore(url: str) -> Iterator[KeyStore]:
    with contextlib.closing(opened(url)) as made:
        yield made


def generation(keystore: KeyStore) -> int:
    with keystore.snapshot() as tx:
        return workers.generation(tx)


def refusal(url: str, **options: object) -> GlomskaError:
    with pytest.raises(GlomskaError) as caught:
        opened(url, **options)  # type: ignore[arg-type]
    assert PASSWORD not in str(caught.value) + caught.value.hint
    return caught.value


def test_a_wrong_password_is_told(url: str) -> None:
    fault = refusal(url, password="wrong")
    assert isinstance(fault, ConfigurationFault)
    assert str(fault).startswith("the key store refuses this user: ")
    assert fault.hint == "correct keys.password_file, or the user in keys.url"


def test_a_database_that_is_not_there_is_told(url: str) -> None:
    fault = refusal(url + "-absent")
    assert isinstance(fault, Unreachable)
    assert fault.hint == "see that PostgreSQL runs, and that keys.url and keys.password_file fit it"


def test_an_empty_database_is_no_key_store_unless_one_is_made(url: str) -> None:
    fault = refusal(url, create=False)
    assert isinstance(fault, NotThere)
    assert str(fault) == "there is no key store in the database of keys.url"
    opened(url).close()
    opened(url, create=False).close()


def test_another_programs_database_is_refused(postgres: Postgres, url: str) -> None:
    postgres.sql("CREATE TABLE songs(title text)", database=url)
    fault = refusal(url)
    assert isinstance(fault, IntegrityStop)
    assert str(fault) == "the key store's database holds another program's tables"
    assert postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=url) == [("songs",)]


def test_a_newer_version_is_refused(postgres: Postgres, url: str) -> None:
    opened(url).close()
    postgres.sql("UPDATE glomska_schema SET version = 99", database=url)
    assert str(refusal(url)) == f"the key store has schema version 99, this program knows {migrations.newest()}"


def test_a_user_without_rights_is_told(postgres: Postgres, url: str) -> None:
    opened(url).close()
    postgres.sql(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'", database=url)
    fault = refusal(url.replace("glomska@", "guest@"))
    postgres.sql("DROP ROLE guest", database=url)
    assert isinstance(fault, ConfigurationFault)
    assert str(fault).startswith("the key store's user may not do what is needed: InsufficientPrivilege")
    assert fault.hint == "make the user of keys.url the owner of its database"


def test_what_takes_no_writes_is_not_the_primary(postgres: Postgres, url: str) -> None:
    opened(url).close()
    name = url.rpartition("/")[2]
    postgres.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert isinstance(refusal(url), Unreachable)


def test_commits_are_synchronous_whatever_the_server_says(postgres: Postgres, keystore: KeyStore) -> None:
    """The tests' server is set to be fast, and says so."""
    assert postgres.sql("SHOW synchronous_commit") == [("off",)]
    assert keystore.weaknesses() == ["fsync = off", "full_page_writes = off"]


def test_a_snapshot_can_write_nothing(keystore: KeyStore) -> None:
    with pytest.raises(Unreachable, match="ReadOnlySqlTransaction"), keystore.snapshot() as tx:
        workers.raise_generation(tx)
    assert generation(keystore) == 1


def test_an_act_that_another_holds_up_is_unreachable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgresql._CONNECT, "options", "-c lock_timeout=50")
    with contextlib.closing(opened(url)) as mine, contextlib.closing(opened(url)) as other:
        with other.act(), pytest.raises(Unreachable, match="LockNotAvailable"), mine.act():
            pytest.fail("two acts at once")
        with mine.act() as tx:
            assert workers.raise_generation(tx) == 2


def test_workers_wait_for_acts_and_not_for_each_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgresql._CONNECT, "options", "-c lock_timeout=50")
    with contextlib.closing(opened(url)) as one, contextlib.closing(opened(url)) as two:
        with one.attend(), two.attend():
            pass
        with one.act(), pytest.raises(Unreachable), two.attend():
            pytest.fail("a worker passed an act")
        with one.attend(), pytest.raises(Unreachable), two.act():
            pytest.fail("an act passed a worker")


def test_a_renewal_is_before_the_generation_rises_or_refused(url: str) -> None:
    """Else the eraser could read the lease that was, while the worker gets one that goes on."""
    with contextlib.closing(opened(url)) as eraser, contextlib.closing(opened(url)) as worker:
        with worker.attend() as tx:
            workers.register(tx, WORKER)
        renewed: list[bool] = []

        def renew() -> None:
            with worker.attend() as tx:
                renewed.append(workers.renew(tx, WORKER.worker, renewed=7))

        thread = threading.Thread(target=renew)
        with eraser.act() as tx:
            workers.raise_generation(tx)
            thread.start()
            waiting(eraser)
        thread.join(60)
        assert renewed == [False]
        with eraser.snapshot() as tx:
            (row,) = workers.find_all(tx)
        assert row.renewed == 5


def waiting(keystore: KeyStore) -> None:
    """Until somebody waits for the lock."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with keystore.snapshot() as tx:
            if tx.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_who_waits_is_told_of_a_generation_and_without_a_server_waits_the_time_out() -> None:
    stop = threading.Event()
    with Postgres() as server, contextlib.closing(opened(server.database())) as keystore:
        assert keystore.wait(stop, 0.01) is False
        for generation in (2, 3):
            with keystore.act() as tx:
                assert workers.raise_generation(tx) == generation
            assert keystore.wait(stop, 60) is True
        server.kill(signal.SIGINT)
        assert keystore.wait(stop, 0.01) is False
        server.start()
        assert keystore.wait(stop, 0.01) is False
        with keystore.act() as tx:
            workers.raise_generation(tx)
        assert keystore.wait(stop, 60) is True


def test_killed_it_has_kept_what_it_said_and_is_found_again() -> None:
    """A server that is durable, as a real one must be; the pool's dead connections are not handed out."""
    with Postgres(durable=True) as server, contextlib.closing(opened(server.database())) as keystore:
        assert keystore.weaknesses() == []
        for number in range(2, 12):
            with keystore.act() as tx:
                assert workers.raise_generation(tx) == number
        with pytest.raises(Unreachable):
            killed_within_an_act(keystore, server)
        server.start()
        assert generation(keystore) == 11, "half an act did not happen"
        with keystore.act() as tx:
            assert workers.raise_generation(tx) == 12


def killed_within_an_act(keystore: KeyStore, server: Postgres) -> None:
    with keystore.act() as tx:
        workers.raise_generation(tx)
        server.kill(signal.SIGKILL)


def test_away_it_is_unreachable_and_back_it_works() -> None:
    with Postgres() as server, contextlib.closing(opened(server.database())) as keystore:
        server.kill(signal.SIGINT)
        for _ in range(3):
            with pytest.raises(Unreachable) as caught:
                generation(keystore)
            assert caught.value.retryable
            assert str(caught.value).startswith("the key store does not answer: ")
        server.start()
        assert generation(keystore) == 1


def test_who_may_not_look_at_standbys_is_told_so(postgres: Postgres) -> None:
    url = postgres.database()
    opened(url).close()
    postgres.sql(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}' IN ROLE glomska")
    plain = opened(url.replace("glomska@", "plain@"))
    try:
        with pytest.raises(ConfigurationFault, match="may not see how far standbys are") as told:
            plain.behind(["second"], plain.written())
        assert "GRANT pg_read_all_stats" in told.value.hint
    finally:
        plain.close()
        postgres.sql("DROP ROLE plain")
