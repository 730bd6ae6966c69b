"""What each answer of a server means. Real InfluxDB where it gives that answer, a scripted server where it does not."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from benchmarks.servers import InfluxDB1, http
from gateway.errors import ConfigurationFault
from gateway.model.sealed import ACCEPTED, Reason
from gateway.transport.influx1 import Influx1Store
from gateway.transport.store import Login, StoreRefused, StoreUnreachable, write_all
from tests.fronts import StoreFront
from tests.unit.transport.answers import SENTINEL, answering, new_pseudonym, point

EVER = (-(2**63), 2**63 - 1)
DAY = 86_400 * 10**9
_names = (f"unit{n}" for n in itertools.count())


class StrictInfluxDB(InfluxDB1):
    """The same server with some settings of its own."""

    def __init__(self, **settings: str) -> None:
        super().__init__()
        self._settings = settings

    def arguments(self) -> list[str]:
        arguments = super().arguments()
        path = self.directory / "influxdb.conf"
        text = path.read_text(encoding="utf-8")
        for name, value in self._settings.items():
            key = name.replace("_", "-")
            section = "[http]" if key in {"max-body-size", "auth-enabled"} else "[data]"
            lines = [line for line in text.splitlines() if not line.strip().startswith(f"{key} =")]
            lines.insert(lines.index(section) + 1, f"  {key} = {value}")
            text = "\n".join(lines)
        path.write_text(text, encoding="utf-8")
        return arguments


@contextmanager
def stopped(server: InfluxDB1) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def influxdb() -> Iterator[InfluxDB1]:
    with InfluxDB1() as server:
        yield server


@pytest.fixture
def store(influxdb: InfluxDB1) -> Iterator[Influx1Store]:
    with closing(Influx1Store(influxdb.http_url, database=next(_names))) as opened:
        yield opened


def test_a_404_that_stays_though_the_database_was_made_is_a_fault_and_not_tried_at_once_for_ever() -> None:
    """A proxy that lets `/query` through alone; then it is mended, and the database is gone meanwhile."""
    made = b'{"results":[{"statement_id":0}]}\n'
    with (
        answering(200, by_path={b"/query": made}, otherwise=404) as url,
        closing(Influx1Store(url, database="d")) as store,
    ):
        for _ in range(2):
            assert len(store.write([point()]).kept) == 1, "it may be there now"
            with pytest.raises(StoreUnreachable, match="answers 404") as fault:
                store.write([point()])
            assert "store.url" in fault.value.hint


@pytest.mark.parametrize("status", [401, 403, 404, 408, 418, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_keeps_the_batch(status: int) -> None:
    with answering(status, SENTINEL.encode()) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreUnreachable, match=f"answers {status}") as fault:
            write_all(store, [point()])
        assert not isinstance(fault.value, StoreRefused)
        assert fault.value.retryable
        assert fault.value.hint
        assert fault.value.retry_after is None
        assert SENTINEL not in str(fault.value) + fault.value.hint
        assert fault.value.answered == (status not in {500, 502, 504})


@pytest.mark.parametrize("status", [400, 422])
def test_an_answer_that_will_not_pass_rejects_the_points_without_quoting_it(status: int) -> None:
    said = f'{{"error":"unable to parse \'telemetry,series={SENTINEL} s_1d=1\'"}}'.encode()
    with answering(status, said, X_Influxdb_Error=SENTINEL) as url, closing(Influx1Store(url, database="d")) as store:
        outcome = write_all(store, [point(k) for k in range(5)])
        assert outcome.rejected == dict.fromkeys(range(5), Reason.STORE)
        assert f"refuses the request ({status})" in outcome.why
        assert SENTINEL not in outcome.why


@pytest.mark.parametrize("bad", [[0], [999], [1, 2, 3, 500], [*range(400, 420)]])
def test_offending_points_are_found_among_many_and_all_others_are_stored(influxdb: InfluxDB1, bad: list[int]) -> None:
    """The server stores the rest of a batch beside a conflict of types, and says 400 all the same: written again."""
    database = next(_names)
    influxdb.create_database(database)
    http(f"{influxdb.http_url}/write?db={database}", data=f"telemetry,series={SENTINEL} s_2=1.0 1".encode())
    asked: list[int] = []
    with closing(Influx1Store(influxdb.http_url, database=database)) as store:
        points = [point(k, field="s_2" if k in bad else "s_1d") for k in range(1000)]
        left = list(range(1000))
        rejected: set[int] = set()
        while left:
            outcome = store.write([points[index] for index in left])
            asked.append(len(left))
            rejected |= {left[index] for index in outcome.rejected}
            left = [left[index] for index in outcome.kept]
        assert sorted(rejected) == bad
        assert {p.time for p in store.query("telemetry", [SENTINEL], *EVER) if p.field == "s_1d"} == set(
            range(1000)
        ) - set(bad)
        assert len(asked) <= 25 * len(bad), "halved, and doubled again"
        assert write_all(store, [point(k) for k in range(2000, 3000)]) == ACCEPTED


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("soon", None),
        pytest.param("9" * 5_000, None, id="digits"),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_a_wish_to_be_left_alone_is_passed_on(said: str, seconds: float | None) -> None:
    with answering(503, Retry_After=said) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreUnreachable) as fault:
            write_all(store, [point()])
        assert fault.value.retry_after == seconds


def test_a_point_larger_than_any_reading_and_too_large_even_alone_is_refused() -> None:
    with answering(413) as url, closing(Influx1Store(url, database="d")) as store:
        huge = [point(k, size=6_000) for k in range(5)]
        assert write_all(store, huge).rejected == dict.fromkeys(range(5), Reason.STORE)


def test_a_reading_that_is_too_large_even_alone_is_kept() -> None:
    """What answers so is a proxy that lets nothing through, and may be mended."""
    with answering(413) as url, closing(Influx1Store(url, database="d")) as store:
        for _ in range(3):
            with pytest.raises(StoreUnreachable, match="one reading too large") as fault:
                write_all(store, [point(k, size=2_000) for k in range(5)])
            assert fault.value.answered
            assert "raise the limit" in fault.value.hint


def test_a_redirection_is_not_followed(influxdb: InfluxDB1) -> None:
    with (
        answering(307, Location=influxdb.http_url) as url,
        closing(Influx1Store(url, database="d")) as store,
        pytest.raises(StoreUnreachable, match="answers 307"),
    ):
        write_all(store, [point()])


@pytest.mark.parametrize(
    "body", [b"", b"{}\n", b"<html>welcome</html>\n", b'{"results":[{"series":[{"name":7}]}]}\n', b"\xff\n"]
)
def test_an_answer_of_another_server_is_called_that(body: bytes) -> None:
    with answering(200, body) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreUnreachable, match="answer is not InfluxDB"):
            list(store.query("telemetry", [SENTINEL], *EVER))
        assert not store.health().ok


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    body = b'{"results":[{"statement_id":0,"partial":true}]}\n'
    with (
        answering(200, body, says=10_000) as url,
        closing(Influx1Store(url, database="d")) as store,
        pytest.raises(StoreUnreachable, match="does not answer"),
    ):
        list(store.query("telemetry", [SENTINEL], *EVER))


def test_a_port_where_nobody_listens_is_no_answer() -> None:
    with answering(204) as url:
        pass  # and now it is gone
    with closing(Influx1Store(url, database="d")) as store, pytest.raises(StoreUnreachable, match="does not answer"):
        write_all(store, [point()])


def test_a_server_that_hangs_is_given_up_after_the_deadline() -> None:
    with InfluxDB1() as server, closing(Influx1Store(server.http_url, database="d", timeout_s=0.3)) as store:
        with stopped(server), pytest.raises(StoreUnreachable, match="does not answer: ReadTimeoutError") as fault:
            write_all(store, [point()])
        assert SENTINEL not in str(fault.value)


def test_an_error_inside_an_answer_is_not_quoted() -> None:
    body = b'{"results":[{"statement_id":0,"error":"no such %s"}]}\n' % SENTINEL.encode()
    with answering(200, body) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreUnreachable, match="could not carry out a statement") as fault:
            store.delete(["telemetry"], [SENTINEL])
        assert SENTINEL not in str(fault.value)


def test_a_batch_that_the_server_finds_too_large_goes_in_parts() -> None:
    with StrictInfluxDB(max_body_size="2000") as server, closing(Influx1Store(server.http_url, database="d")) as store:
        points = [point(k, size=6_000 if k == 37 else 40) for k in range(100)]
        assert write_all(store, points).rejected == {37: Reason.STORE}
        assert [p.time for p in store.query("telemetry", [SENTINEL], *EVER)] == [k for k in range(100) if k != 37]


def test_a_spell_of_413_does_not_leave_small_requests_behind(influxdb: InfluxDB1) -> None:
    requests: list[int] = []
    with StoreFront(influxdb.port, on_taken=lambda body: requests.append(body.count(b"\n") + 1)) as front:
        url = front.url.removeprefix("influxdb1+").removesuffix("/glomska")
        with closing(Influx1Store(url, database=next(_names))) as store:
            assert write_all(store, [point()]) == ACCEPTED  # which makes the database
            front.answer = 413
            with pytest.raises(StoreUnreachable):
                write_all(store, [point(k) for k in range(1_000)])
            front.answer, points = None, [point(k) for k in range(6_000)]
            assert write_all(store, points) == ACCEPTED
            assert len(requests) < 300
            assert max(requests) >= 100


def test_a_server_that_wants_a_login_is_told_apart() -> None:
    with StrictInfluxDB(auth_enabled="true") as server, closing(Influx1Store(server.http_url, database="d")) as store:
        with pytest.raises(StoreUnreachable, match=r"answers 40[13]") as fault:
            write_all(store, [point()])
        assert "store.password_file" in fault.value.hint
        assert not store.health().ok


def test_a_limit_on_series_is_seen_before_and_named_when_it_is_reached() -> None:
    settings = {"max_values_per_tag": "3", "index_version": '"inmem"'}
    with StrictInfluxDB(**settings) as server, closing(Influx1Store(server.http_url, database="d")) as store:
        health = store.health()
        assert not health.ok
        assert "max-values-per-tag" in health.detail
        assert "max-values-per-tag = 0" in health.hint
        write_all(store, [point(pseudonym=new_pseudonym()) for _ in range(3)])
        outcome = write_all(store, [point(pseudonym=new_pseudonym())])
        assert outcome.rejected == {0: Reason.STORE}
        assert "limit on values of a tag" in outcome.why
        assert "influxdb.conf" in outcome.why


def test_a_field_of_another_type_is_named(influxdb: InfluxDB1) -> None:
    database = next(_names)
    influxdb.create_database(database)
    with closing(Influx1Store(influxdb.http_url, database=database)) as store:
        line = f"telemetry,area=SE3,series={SENTINEL} s_1d=1.0 1".encode()
        http(f"{influxdb.http_url}/write?db={database}", data=line)
        assert "another type" in write_all(store, [point(2)]).why


def test_the_first_write_creates_the_database(influxdb: InfluxDB1) -> None:
    with closing(Influx1Store(influxdb.http_url, database="made-by_write")) as store:
        assert "the first write creates it" in store.health().detail
        assert list(store.query("telemetry", [SENTINEL], *EVER)) == []
        assert store.delete(["telemetry"], [SENTINEL]) == 0
        assert write_all(store, [point()]) == ACCEPTED
        assert "creates it" not in store.health().detail
        assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1


def test_a_retention_policy_is_written_to_read_from_and_deleted_from(influxdb: InfluxDB1) -> None:
    database = next(_names)
    influxdb.create_database(database)
    with closing(Influx1Store(influxdb.http_url, database=database, retention_policy="years")) as store:
        assert not store.health().ok
        with pytest.raises(StoreUnreachable, match="no such retention policy") as fault:
            write_all(store, [point()])
        assert "?rp=" in fault.value.hint
        influxdb.query(f'CREATE RETENTION POLICY "years" ON "{database}" DURATION INF REPLICATION 1')
        assert store.health().ok
        write_all(store, [point(1), point(2)])
        assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 2
        assert store.delete(["telemetry"], [SENTINEL]) == 2
        assert list(store.query("telemetry", [SENTINEL], *EVER)) == []


@pytest.mark.parametrize("hostile", ["", "x' OR 'a'='a", SENTINEL + "'", SENTINEL.upper(), SENTINEL + "\n", "*"])
def test_nothing_but_a_pseudonym_enters_a_statement(store: Influx1Store, hostile: str) -> None:
    write_all(store, [point()])
    with pytest.raises(ValueError, match="26 characters of base32"):
        store.delete(["telemetry"], [hostile])
    with pytest.raises(ValueError, match="26 characters of base32"):
        list(store.query("telemetry", [hostile], *EVER))
    assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1


@pytest.mark.parametrize("measurement", ['telemetry"', 'x" WHERE time > 0 --', "a\\", "a\nb", "", 'x","telemetry'])
def test_a_measurement_cannot_leave_its_quotes(store: Influx1Store, measurement: str) -> None:
    write_all(store, [point()])
    try:
        assert store.delete([measurement], [SENTINEL]) == 0
    except StoreUnreachable:
        assert measurement == ""
    assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1


def test_a_chunked_answer_is_whole(store: Influx1Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.transport.influxql.CHUNK_ROWS", 7)
    monkeypatch.setattr("gateway.transport.influxql.GROUP", 3)
    homes = sorted(new_pseudonym() for _ in range(8))
    points = [point(k, home) for home in homes for k in range(50)]
    write_all(store, points)
    back = list(store.query("telemetry", homes, *EVER))
    assert [(p.series.pseudonym, p.time, p.value) for p in back] == [
        (p.series.pseudonym, p.time, p.value) for p in points
    ]
    assert store.delete(["telemetry"], homes) == 400


def test_a_login_is_given_and_enough() -> None:
    login = Login(username="glomska", password=b"pass:word of the test")
    with StrictInfluxDB(auth_enabled="true") as server:
        server.query("CREATE USER \"glomska\" WITH PASSWORD 'pass:word of the test' WITH ALL PRIVILEGES")
        with closing(Influx1Store(server.http_url, database="d", login=login)) as store:
            assert write_all(store, [point()]) == ACCEPTED
            assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1
            assert store.delete(["telemetry"], [SENTINEL]) == 1
            assert store.health().ok
        wrong = Login(username="glomska", password=b"wrong")
        with (
            closing(Influx1Store(server.http_url, database="d", login=wrong)) as store,
            pytest.raises(StoreUnreachable, match="answers 401"),
        ):
            write_all(store, [point()])
    assert "word" not in repr(login)


def test_the_first_write_creates_the_database_with_its_retention(influxdb: InfluxDB1) -> None:
    now = time.time_ns()
    with closing(Influx1Store(influxdb.http_url, database=next(_names), keep_days=762)) as store:
        assert write_all(store, [point(now)]) == ACCEPTED
        assert store._kept_hours() == 762 * 24
        assert store.health().ok


def test_points_older_than_the_retention_are_refused_alone(influxdb: InfluxDB1) -> None:
    now = time.time_ns()
    with closing(Influx1Store(influxdb.http_url, database=next(_names), keep_days=30)) as store:
        points = [point(now - days * DAY) for days in (1, 31, 29, 400)] + [point(now, size=40, field="")]
        assert write_all(store, points).rejected == {1: Reason.TOO_OLD, 3: Reason.TOO_OLD, 4: Reason.STORE}
        assert [p.time for p in store.query("telemetry", [SENTINEL], *EVER)] == [now - 29 * DAY, now - 1 * DAY]


@pytest.mark.parametrize(
    ("duration", "said"),
    [("INF", "keeps points for ever, and the policy 30 days"), ("90d", "keeps points 90 days, and the policy 30 days")],
)
def test_a_database_with_another_retention_is_named_and_left_alone(
    influxdb: InfluxDB1, duration: str, said: str
) -> None:
    database = next(_names)
    influxdb.query(f'CREATE DATABASE "{database}" WITH DURATION {duration}')
    with closing(Influx1Store(influxdb.http_url, database=database, keep_days=30)) as store:
        health = store.health()
        assert not health.ok
        assert health.detail.endswith(said)
        statement = health.hint.partition("give InfluxDB: ")[2]
        with pytest.raises(ConfigurationFault, match=said):
            store.prepare()
        assert not store.health().ok
        influxdb.query(statement)  # what it says to do is what mends it
        assert store.health().ok
        assert "is there already, keeps points 30 days" in store.prepare()


def test_setting_up_makes_database_and_retention_policy(influxdb: InfluxDB1) -> None:
    database = next(_names)
    with closing(Influx1Store(influxdb.http_url, database=database, keep_days=30)) as store:
        assert store.prepare() == f"database {database} made, keeps points 30 days"
        assert store.prepare() == f"database {database} is there already, keeps points 30 days"
    with closing(Influx1Store(influxdb.http_url, database=database, retention_policy="long", keep_days=400)) as store:
        assert store.prepare() == f"retention policy long made in database {database}, keeps points 400 days"
        assert write_all(store, [point(time.time_ns() - 300 * DAY)]) == ACCEPTED
    with closing(
        Influx1Store(influxdb.http_url, database=next(_names), retention_policy="long", keep_days=400)
    ) as store:
        write_all(store, [point(time.time_ns() - 300 * DAY)])
        assert store.health().ok


def test_a_server_that_answers_before_it_is_on_disk_is_named() -> None:
    settings = {"wal_fsync_delay": '"100ms"'}
    with StrictInfluxDB(**settings) as server, closing(Influx1Store(server.http_url, database="d")) as store:
        health = store.health()
    assert not health.ok
    assert "answers before a write is on disk" in health.detail
    assert 'wal-fsync-delay = "0s"' in health.hint
