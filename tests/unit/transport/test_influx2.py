"""What each documented answer of InfluxDB 2 means to us. No InfluxDB 2 runs here: servers of the test answer like it.

The whole suite of stores runs in tests/conformance, against a real one too when `GLOMSKA_TEST_INFLUXDB2` names it.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.errors import ConfigurationFault
from gateway.model.sealed import ACCEPTED, Reason
from gateway.transport.influx2 import Influx2Store
from gateway.transport.store import Login, StoreRefused, StoreUnreachable, write_all
from tests.conformance.documented import ORGANISATION, TOKEN, Documented
from tests.unit.transport.answers import SENTINEL, answering, point

EVER = (-(2**63), 2**63 - 1)
DAY = 86_400 * 10**9
_names = (f"bucket{n}" for n in itertools.count())


def opened(
    url: str, bucket: str = "b", *, token: str = TOKEN, keep_days: int = 0, timeout_s: float = 5
) -> Influx2Store:
    login = Login(token=token.encode())
    return Influx2Store(
        url, organisation=ORGANISATION, bucket=bucket, login=login, keep_days=keep_days, timeout_s=timeout_s
    )


def said(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


@pytest.fixture(scope="module")
def documented() -> Iterator[Documented]:
    with Documented() as server:
        yield server


@pytest.mark.parametrize("status", [401, 403, 404, 408, 418, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_keeps_the_batch(status: int) -> None:
    with answering(status, said("internal error", SENTINEL)) as url, closing(opened(url)) as store:
        with pytest.raises(StoreUnreachable, match=f"answers {status}") as fault:
            write_all(store, [point()])
        assert not isinstance(fault.value, StoreRefused)
        assert fault.value.hint
        assert fault.value.retry_after is None
        assert SENTINEL not in str(fault.value) + fault.value.hint
        assert not store.health().ok


@pytest.mark.parametrize("status", [200, 202, 203, 206])
def test_another_success_than_its_own_stores_nothing(status: int) -> None:
    """A proxy's page for logging in, or a queue that has not stored it yet."""
    with answering(status, b"<html>please log in</html>") as url, closing(opened(url)) as store:
        with pytest.raises(StoreUnreachable, match="answer is not InfluxDB's") as fault:
            store.write([point()])
        assert "store.url" in fault.value.hint


@pytest.mark.parametrize(
    ("status", "message", "what"),
    [
        (400, f"unable to parse 'telemetry,series={SENTINEL} s_1d=1': bad timestamp", "its own log tells"),
        (422, "failure writing points to database: partial write: field type conflict: x dropped=1", "another type"),
    ],
)
def test_an_answer_that_will_not_pass_rejects_the_points_without_quoting_it(
    status: int, message: str, what: str
) -> None:
    with answering(status, said("invalid", message)) as url, closing(opened(url)) as store:
        outcome = write_all(store, [point(k) for k in range(3)])
        assert outcome.rejected == dict.fromkeys(range(3), Reason.STORE)
        assert f"refuses the request ({status}): " in outcome.why
        assert what in outcome.why
        assert SENTINEL not in outcome.why


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None)])
def test_a_wish_to_be_left_alone_is_passed_on(header: str, seconds: float | None) -> None:
    with answering(429, Retry_After=header) as url, closing(opened(url)) as store:
        with pytest.raises(StoreUnreachable) as fault:
            write_all(store, [point()])
        assert fault.value.retry_after == seconds


def test_of_points_that_are_too_large_even_alone_those_that_are_readings_are_kept() -> None:
    with answering(413, said("request too large", "cannot read data")) as url, closing(opened(url)) as store:
        huge = [point(k, size=6_000) for k in range(5)]
        assert write_all(store, huge).rejected == dict.fromkeys(range(5), Reason.STORE)
        with pytest.raises(StoreUnreachable, match="one reading too large"):
            write_all(store, [point(k) for k in range(5)])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_not_followed_with_our_token(documented: Documented, status: int) -> None:
    documented.create_bucket("b")
    elsewhere = f"{documented.http_url}/api/v2/write?org=home&bucket=b&precision=ns"
    with (
        answering(status, Location=elsewhere) as url,
        closing(opened(url)) as store,
        pytest.raises(StoreUnreachable, match=f"answers {status}"),
    ):
        write_all(store, [point()])
    with closing(opened(documented.http_url)) as store:
        assert list(store.query("telemetry", [SENTINEL], *EVER)) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>welcome</html>", b"\xff"])
def test_an_answer_of_another_server_is_called_that(body: bytes) -> None:
    with answering(200, body) as url, closing(opened(url)) as store:
        with pytest.raises(StoreUnreachable, match="answer is not InfluxDB"):
            list(store.query("telemetry", [SENTINEL], *EVER))
        with pytest.raises(StoreUnreachable):
            store.prepare()
        assert not store.health().ok


def test_a_port_where_nobody_listens_is_no_answer() -> None:
    with answering(204) as url:
        pass  # and now it is gone
    with closing(opened(url)) as store, pytest.raises(StoreUnreachable, match="does not answer") as fault:
        write_all(store, [point()])
    assert SENTINEL not in str(fault.value)


def test_a_server_that_hangs_is_given_up_after_the_deadline() -> None:
    with (
        answering(200, b"", says=10_000) as url,
        closing(opened(url, timeout_s=0.3)) as store,
        pytest.raises(StoreUnreachable, match="does not answer"),
    ):
        write_all(store, [point()])


def test_a_server_without_tls_is_no_answer() -> None:
    with answering(204) as url, closing(opened(url.replace("http:", "https:"))) as store:
        with pytest.raises(StoreUnreachable) as fault:
            write_all(store, [point()])
        assert not isinstance(fault.value, StoreRefused)


def test_a_wrong_token_is_answered_with_where_it_belongs(documented: Documented) -> None:
    with closing(opened(documented.http_url, token="wrong")) as store:
        with pytest.raises(StoreUnreachable, match="answers 401") as fault:
            write_all(store, [point()])
        assert "store.token_file" in fault.value.hint
        assert "wrong" not in str(fault.value) + fault.value.hint


def test_a_bucket_that_is_not_there_is_made_by_setting_up(documented: Documented) -> None:
    bucket = next(_names)
    with closing(opened(documented.http_url, bucket, keep_days=762)) as store:
        with pytest.raises(StoreUnreachable, match="answers 404") as fault:
            write_all(store, [point()])
        assert "glomska init" in fault.value.hint
        health = store.health()
        assert not health.ok
        assert "is not there" in health.detail
        assert store.prepare() == f"bucket {bucket} made, keeps points 762 days"
        assert store.prepare() == f"bucket {bucket} is there already, keeps points 762 days"
        assert store.health().ok
        assert write_all(store, [point(time.time_ns())]) == ACCEPTED


def test_a_bucket_with_another_retention_is_named_and_left_alone(documented: Documented) -> None:
    bucket = next(_names)
    with closing(opened(documented.http_url, bucket, keep_days=90)) as store:
        store.prepare()
    with closing(opened(documented.http_url, bucket, keep_days=762)) as store:
        health = store.health()
        assert not health.ok
        assert health.detail.endswith("keeps points 90 days, and the policy 762 days")
        assert f"a retention of {762 * 24}h" in health.hint
        with pytest.raises(ConfigurationFault, match="90 days"):
            store.prepare()


def test_points_older_than_the_retention_are_refused_alone(documented: Documented) -> None:
    now = time.time_ns()
    with closing(opened(documented.http_url, next(_names), keep_days=30)) as store:
        store.prepare()
        points = [point(now - days * DAY) for days in (1, 31, 29, 400)]
        assert write_all(store, points).rejected == {1: Reason.TOO_OLD, 3: Reason.TOO_OLD}
        assert [p.time for p in store.query("telemetry", [SENTINEL], *EVER)] == [now - 29 * DAY, now - 1 * DAY]


def test_a_server_of_version_1_is_called_that() -> None:
    with answering(204, X_Influxdb_Version="1.6.7") as url, closing(opened(url)) as store:
        health = store.health()
    assert not health.ok
    assert "influxdb1+" in health.hint


@pytest.mark.parametrize("hostile", ["", 'x" OR "a"="a', SENTINEL + '"', SENTINEL.upper(), "*"])
def test_nothing_but_a_pseudonym_enters_a_predicate(documented: Documented, hostile: str) -> None:
    documented.create_bucket("b")
    with closing(opened(documented.http_url)) as store, pytest.raises(ValueError, match="26 characters of base32"):
        store.delete(["telemetry"], [hostile])
