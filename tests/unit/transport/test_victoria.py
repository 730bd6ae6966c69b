"""VictoriaMetrics: what it would lose or keep twice without a word is refused before. A real server, but for errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from benchmarks.servers import VictoriaMetrics
from gateway.errors import ConfigurationFault
from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import ACCEPTED, Reason, SealedPoint, Series
from gateway.transport.store import StoreRefused, StoreUnreachable, write_all
from gateway.transport.victoria import VictoriaStore
from tests.unit.transport.answers import SENTINEL, answering, new_pseudonym, number, point

EVER = (-(2**63), 2**63 - 1)
DAY = 86_400 * 10**9
SETTINGS = (
    b'flag{name="dedup.minScrapeInterval", value="1ms", is_set="true"} 1\nflag{name="retentionPeriod", value="1y"} 1\n'
)


class Configured(VictoriaMetrics):
    """The same server with other flags."""

    def __init__(self, **flags: str) -> None:
        super().__init__()
        self._flags = {f"-{name.replace('_', '.')}": value for name, value in flags.items()}

    def arguments(self) -> list[str]:
        given = dict(argument.split("=", 1) for argument in super().arguments()) | self._flags
        return [f"{name}={value}" for name, value in given.items() if value]


@pytest.fixture(scope="module")
def server() -> Iterator[VictoriaMetrics]:
    with VictoriaMetrics() as started:
        yield started


@pytest.fixture
def store(server: VictoriaMetrics) -> Iterator[VictoriaStore]:
    with closing(VictoriaStore(server.url)) as opened:
        yield opened


def test_a_sealed_value_is_refused_and_not_dropped_without_a_word(store: VictoriaStore) -> None:
    now, pseudonym = time.time_ns(), new_pseudonym()
    both = number(now, pseudonym)
    both = SealedPoint(both.series, now, "s_1d", "AQE", both.clear)
    assert write_all(store, [point(now, pseudonym), number(now, pseudonym), both]).rejected == {
        0: Reason.STORE,
        2: Reason.STORE,
    }
    assert [p.clear for p in store.query("telemetry", [pseudonym], *EVER)] == [(("battery", 81.0),)]


def test_times_it_would_drop_are_refused() -> None:
    now = time.time_ns()
    with Configured(retentionPeriod="31d") as server, closing(VictoriaStore(server.url)) as store:
        points = [number(now - days * DAY) for days in (1, 32, 400, -3)] + [number(0), number(-1)]
        assert write_all(store, points).rejected == {
            1: Reason.TOO_OLD,
            2: Reason.TOO_OLD,
            3: Reason.FUTURE,
            4: Reason.TOO_OLD,
            5: Reason.TOO_OLD,
        }
        assert len(list(store.query("telemetry", [SENTINEL], *EVER))) == 1


def test_the_first_millisecond_means_now_to_it_and_is_refused(store: VictoriaStore) -> None:
    pseudonym = new_pseudonym()
    assert write_all(store, [number(10**6 - 1, pseudonym), number(10**6, pseudonym)]).rejected == {0: Reason.STORE}
    assert [p.time for p in store.query("telemetry", [pseudonym], *EVER)] == [10**6]


def test_within_a_millisecond_one_is_left(store: VictoriaStore) -> None:
    now, pseudonym = time.time_ns() // 10**6 * 10**6, new_pseudonym()
    write_all(store, [number(now + ns, pseudonym) for ns in (0, 1, 999_999, 1_000_000)])
    assert [p.time for p in store.query("telemetry", [pseudonym], *EVER)] == [now, now + 1_000_000]
    assert list(store.query("telemetry", [pseudonym], now + 1, now + 1_000_000)) == []


def test_names_with_the_separator_in_them_are_kept_apart(store: VictoriaStore) -> None:
    now, pseudonym = time.time_ns(), Pseudonym(new_pseudonym())
    one = SealedPoint(Series("a", pseudonym, "", KeyId(b"")), now, "", "", (("b_c", 1.0),))
    other = SealedPoint(Series("a_b", pseudonym, "", KeyId(b"")), now, "", "", (("c", 2.0),))
    assert write_all(store, [one, other]) == ACCEPTED
    assert [p.clear for p in store.query("a", [pseudonym], *EVER)] == [(("b_c", 1.0),)]
    assert [p.clear for p in store.query("a_b", [pseudonym], *EVER)] == [(("c", 2.0),)]


def test_a_server_that_keeps_what_is_written_again_is_written_nothing() -> None:
    with Configured(dedup_minScrapeInterval="") as server, closing(VictoriaStore(server.url)) as store:
        with pytest.raises(StoreRefused, match="written again twice") as fault:
            write_all(store, [number(time.time_ns())])
        assert "-dedup.minScrapeInterval=1ms" in fault.value.hint
        health = store.health()
        assert not health.ok
        assert "-dedup.minScrapeInterval=1ms" in health.hint
        assert list(store.query("telemetry", [SENTINEL], *EVER)) == []


@pytest.mark.parametrize(
    ("period", "said"),
    [("31d", "keeps points 31 days"), ("1", "keeps points 31 days"), ("2y", "keeps points 730 days")],
)
def test_another_retention_is_named_with_the_flag_that_mends_it(period: str, said: str) -> None:
    with Configured(retentionPeriod=period) as server, closing(VictoriaStore(server.url, keep_days=762)) as store:
        health = store.health()
        assert not health.ok
        assert health.detail.endswith(f"{said}, and the policy 762 days")
        assert health.hint == "start it with -retentionPeriod=762d"
        with pytest.raises(ConfigurationFault, match=said):
            store.prepare()


def test_the_right_retention_is_found_right() -> None:
    with Configured(retentionPeriod="762d") as server, closing(VictoriaStore(server.url, keep_days=762)) as store:
        assert store.health().ok
        assert store.prepare().endswith("is set up")


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_an_answer_that_may_pass_keeps_the_batch(status: int) -> None:
    with answering(status, SENTINEL.encode()) as url, closing(VictoriaStore(url)) as store:
        with pytest.raises(StoreUnreachable, match=f"answers {status}") as fault:
            write_all(store, [number(time.time_ns())])
        assert not isinstance(fault.value, StoreRefused)
        assert SENTINEL not in str(fault.value) + fault.value.hint
        assert not store.health().ok


@pytest.mark.parametrize("body", [b"", b"<html>welcome</html>", SETTINGS])
def test_an_answer_of_another_server_is_called_that(body: bytes) -> None:
    with answering(200, body) as url, closing(VictoriaStore(url)) as store:
        with pytest.raises(StoreUnreachable):
            write_all(store, [number(time.time_ns())])
        if body:
            with pytest.raises(StoreUnreachable, match="answer is not VictoriaMetrics"):
                list(store.query("telemetry", [SENTINEL], *EVER))


def test_a_write_that_could_not_be_made_durable_is_not_accepted() -> None:
    said = {b"/snapshot/create": b'{"status":"error"}', b"/metrics": SETTINGS}
    with (
        answering(200, by_path=said, otherwise=204) as url,
        closing(VictoriaStore(url)) as store,
        pytest.raises(StoreUnreachable, match="could not make a snapshot"),
    ):
        write_all(store, [number(time.time_ns())])


def test_what_it_will_not_take_is_rejected_point_by_point() -> None:
    with answering(200, by_path={b"/metrics": SETTINGS}, otherwise=400) as url, closing(VictoriaStore(url)) as store:
        outcome = write_all(store, [number(time.time_ns()) for _ in range(3)])
    assert outcome.rejected == dict.fromkeys(range(3), Reason.STORE)
    assert "refuses the request (400)" in outcome.why


@pytest.mark.parametrize("hostile", ["", "x|y", ".*", SENTINEL + '"', SENTINEL.upper()])
def test_nothing_but_a_pseudonym_enters_a_selector(store: VictoriaStore, hostile: str) -> None:
    write_all(store, [number(time.time_ns())])
    with pytest.raises(ValueError, match="26 characters of base32"):
        store.delete(["telemetry"], [hostile])
    with pytest.raises(ValueError, match="26 characters of base32"):
        list(store.query("telemetry", [hostile], *EVER))
    assert list(store.query("telemetry", [SENTINEL], *EVER))


@pytest.mark.parametrize("measurement", ['telemetry"', 'x",series=~".*', "a\\", "a\nb", 'x"} or {series="'])
def test_a_measurement_cannot_leave_its_quotes(store: VictoriaStore, measurement: str) -> None:
    write_all(store, [number(time.time_ns())])
    assert store.delete([measurement], [SENTINEL]) == 0
    assert list(store.query("telemetry", [SENTINEL], *EVER))
