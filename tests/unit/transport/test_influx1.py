"""What each answer of a server means. Real InfluxDB where it gives that answer, a scripted server where it does not."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.servers import InfluxDB1, http
from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import ACCEPTED, Reason, SealedPoint, Series
from gateway.transport.influx1 import Influx1Store
from gateway.transport.store import StoreRefused, StoreUnreachable

EVER = (-(2**63), 2**63 - 1)
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
SENTINEL = "aaaaaaaabbbbbbbbccccccccdd"
random_ = random.Random(1)
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


def point(time: int = 1, pseudonym: str = SENTINEL, field: str = "s_1d", size: int = 40) -> SealedPoint:
    series = Series("telemetry", Pseudonym(pseudonym), "SE3", KeyId(b""))
    return SealedPoint(series, time, field, "AQE" + "".join(random_.choices(BASE32, k=size)))


def new_pseudonym() -> str:
    return "".join(random_.choices(BASE32, k=26))


@contextmanager
def answering(status: int, body: bytes = b"", *, says: int | None = None, **headers: str) -> Iterator[str]:
    """URL of a server that gives one answer to everything; `says`: the length that it claims."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body) if says is None else says))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = says is not None

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
            """Tests say what they found by themselves."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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


@pytest.mark.parametrize("status", [401, 403, 404, 408, 418, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_keeps_the_batch(status: int) -> None:
    with answering(status, SENTINEL.encode()) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreUnreachable, match=f"answers {status}") as fault:
            store.write([point()])
        assert not isinstance(fault.value, StoreRefused)
        assert fault.value.retryable
        assert fault.value.hint
        assert fault.value.retry_after is None
        assert SENTINEL not in str(fault.value) + fault.value.hint


@pytest.mark.parametrize("status", [400, 422])
def test_an_answer_that_will_not_pass_refuses_the_batch_without_quoting_it(status: int) -> None:
    said = f'{{"error":"unable to parse \'telemetry,series={SENTINEL} s_1d=1\'"}}'.encode()
    with answering(status, said, X_Influxdb_Error=SENTINEL) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreRefused, match=f"refuses the request \\({status}\\)") as fault:
            store.write([point()])
        assert SENTINEL not in str(fault.value) + fault.value.hint


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None)])
def test_a_wish_to_be_left_alone_is_passed_on(said: str, seconds: float | None) -> None:
    with answering(503, Retry_After=said) as url, closing(Influx1Store(url, database="d")) as store:
        with pytest.raises(StoreUnreachable) as fault:
            store.write([point()])
        assert fault.value.retry_after == seconds


def test_a_point_too_large_even_alone_is_refused() -> None:
    with answering(413) as url, closing(Influx1Store(url, database="d")) as store:
        assert store.write([point(k) for k in range(5)]).rejected == dict.fromkeys(range(5), Reason.STORE)


def test_a_redirection_is_not_followed(influxdb: InfluxDB1) -> None:
    with (
        answering(307, Location=influxdb.http_url) as url,
        closing(Influx1Store(url, database="d")) as store,
        pytest.raises(StoreUnreachable, match="answers 307"),
    ):
        store.write([point()])


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
        store.write([point()])


def test_a_server_that_hangs_is_given_up_after_the_deadline() -> None:
    with InfluxDB1() as server, closing(Influx1Store(server.http_url, database="d", timeout_s=0.3)) as store:
        with stopped(server), pytest.raises(StoreUnreachable, match="does not answer: ReadTimeoutError") as fault:
            store.write([point()])
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
        assert store.write(points).rejected == {37: Reason.STORE}
        assert [p.time for p in store.query("telemetry", [SENTINEL], *EVER)] == [k for k in range(100) if k != 37]


def test_a_server_that_wants_a_login_is_told_apart() -> None:
    with StrictInfluxDB(auth_enabled="true") as server, closing(Influx1Store(server.http_url, database="d")) as store:
        with pytest.raises(StoreUnreachable, match=r"answers 40[13]") as fault:
            store.write([point()])
        assert "store.password_file" in fault.value.hint
        assert not store.health().ok


def test_a_limit_on_series_is_seen_before_and_named_when_it_is_reached() -> None:
    settings = {"max_values_per_tag": "3", "index_version": '"inmem"'}
    with StrictInfluxDB(**settings) as server, closing(Influx1Store(server.http_url, database="d")) as store:
        health = store.health()
        assert not health.ok
        assert "max-values-per-tag" in health.detail
        assert "max-values-per-tag = 0" in health.hint
        store.write([point(pseudonym=new_pseudonym()) for _ in range(3)])
        with pytest.raises(StoreRefused, match="limit on values of a tag") as fault:
            store.write([point(pseudonym=new_pseudonym())])
        assert "influxdb.conf" in fault.value.hint


def test_a_field_of_another_type_is_named(influxdb: InfluxDB1) -> None:
    database = next(_names)
    influxdb.create_database(database)
    with closing(Influx1Store(influxdb.http_url, database=database)) as store:
        line = f"telemetry,area=SE3,series={SENTINEL} s_1d=1.0 1".encode()
        http(f"{influxdb.http_url}/write?db={database}", data=line)
        with pytest.raises(StoreRefused, match="another type"):
            store.write([point(2)])


def test_the_first_write_creates_the_database(influxdb: InfluxDB1) -> None:
    with closing(Influx1Store(influxdb.http_url, database="made-by_write")) as store:
        assert "the first write creates it" in store.health().detail
        assert list(store.query("telemetry", [SENTINEL], *EVER)) == []
        assert store.delete(["telemetry"], [SENTINEL]) == 0
        assert store.write([point()]) == ACCEPTED
        assert "creates it" not in store.health().detail
        assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1


def test_a_retention_policy_is_written_to_read_from_and_deleted_from(influxdb: InfluxDB1) -> None:
    database = next(_names)
    influxdb.create_database(database)
    with closing(Influx1Store(influxdb.http_url, database=database, retention_policy="years")) as store:
        assert not store.health().ok
        with pytest.raises(StoreUnreachable, match="no such retention policy") as fault:
            store.write([point()])
        assert "?rp=" in fault.value.hint
        influxdb.query(f'CREATE RETENTION POLICY "years" ON "{database}" DURATION INF REPLICATION 1')
        assert store.health().ok
        store.write([point(1), point(2)])
        assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 2
        assert store.delete(["telemetry"], [SENTINEL]) == 2
        assert list(store.query("telemetry", [SENTINEL], *EVER)) == []


@pytest.mark.parametrize("hostile", ["", "x' OR 'a'='a", SENTINEL + "'", SENTINEL.upper(), SENTINEL + "\n", "*"])
def test_nothing_but_a_pseudonym_enters_a_statement(store: Influx1Store, hostile: str) -> None:
    store.write([point()])
    with pytest.raises(ValueError, match="26 characters of base32"):
        store.delete(["telemetry"], [hostile])
    with pytest.raises(ValueError, match="26 characters of base32"):
        list(store.query("telemetry", [hostile], *EVER))
    assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1


@pytest.mark.parametrize("measurement", ['telemetry"', 'x" WHERE time > 0 --', "a\\", "a\nb", "", 'x","telemetry'])
def test_a_measurement_cannot_leave_its_quotes(store: Influx1Store, measurement: str) -> None:
    store.write([point()])
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
    store.write(points)
    back = list(store.query("telemetry", homes, *EVER))
    assert [(p.series.pseudonym, p.time, p.value) for p in back] == [
        (p.series.pseudonym, p.time, p.value) for p in points
    ]
    assert store.delete(["telemetry"], homes) == 400


def test_more_series_than_influxdb_would_take_by_default(store: Influx1Store) -> None:
    homes = [new_pseudonym() for _ in range(100_001)]
    for begin in range(0, len(homes), 10_000):
        assert store.write([point(1, home) for home in homes[begin : begin + 10_000]]) == ACCEPTED
    ends = [homes[0], homes[50_000], homes[-1]]
    assert sorted(p.series.pseudonym for p in store.query("telemetry", ends, *EVER)) == sorted(ends)
