"""Which store a URL names, and what is said of one that names none."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault, Unreachable
from gateway.transport.influx1 import Influx1Store
from gateway.transport.sqlite import SqliteStore
from gateway.transport.store import Portion, StoreRefused, open_store
from tests.unit.transport.answers import point


def test_a_sqlite_file_lies_in_the_state_directory(tmp_path: Path) -> None:
    with closing(open_store("sqlite:///readings.db", state=tmp_path)) as store:
        assert isinstance(store, SqliteStore)
    assert (tmp_path / "readings.db").exists()


def test_four_slashes_name_a_file_anywhere(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/my%20readings.db", state=Path("/nowhere"))):
        assert (tmp_path / "my readings.db").exists()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("influxdb1+http://localhost:8086", "/write?db=glomska&precision=ns"),
        ("influxdb1+http://localhost:8086/", "/write?db=glomska&precision=ns"),
        ("influxdb1+http://localhost/homes", "/write?db=homes&precision=ns"),
        ("influxdb1+http://[::1]:9/homes?rp=two_years", "/write?db=homes&precision=ns&rp=two_years"),
    ],
)
def test_an_influxdb_url_names_database_and_retention_policy(url: str, path: str, tmp_path: Path) -> None:
    with closing(open_store(url, state=tmp_path)) as store:
        assert isinstance(store, Influx1Store)
        assert store._write_path == path


@pytest.mark.parametrize(
    ("url", "port"), [("influxdb1+http://h", 8086), ("influxdb1+https://h:443/d", 443), ("influxdb1+http://[::1]:9", 9)]
)
def test_an_influxdb_url_names_host_and_port(url: str, port: int, tmp_path: Path) -> None:
    with closing(open_store(url, state=tmp_path)) as store:
        assert isinstance(store, Influx1Store)
        assert (store._server._pool.scheme, store._server._pool.port) == (url.partition("+")[2].partition(":")[0], port)


@pytest.mark.parametrize("url", ["", "readings.db", "mysql://h/d", "influxdb1://h", "http://h:8086", "SQLITE", "://"])
def test_another_scheme_is_answered_with_what_is_allowed(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="allowed are sqlite:///FILE, influxdb1"):
        open_store(url, state=tmp_path)


@pytest.mark.parametrize(
    "url", ["sqlite://readings.db", "sqlite:///", "sqlite:", "sqlite:///a?mode=ro", "sqlite:///a#b"]
)
def test_a_sqlite_url_that_names_no_file_is_answered_with_one_that_does(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="write sqlite:///FILE"):
        open_store(url, state=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "influxdb1+http://",
        "influxdb1+http://h:0/d",
        "influxdb1+http://h:99999/d",
        "influxdb1+http://h:x/d",
        "influxdb1+http://h/d/e",
        "influxdb1+http://h/d%26rp",
        "influxdb1+http://h/d?rp=a%26db",
        "influxdb1+http://h/d?db=e",
        "influxdb1+http://h/d#e",
    ],
)
def test_an_influxdb_url_that_is_off_is_answered_with_its_form(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="write influxdb1"):
        open_store(url, state=tmp_path)


def test_a_login_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="login does not belong") as fault:
        open_store("influxdb1+http://anna:hemlig@h/d", state=tmp_path)
    assert "hemlig" not in str(fault.value)


def test_a_refusal_is_told_apart_by_its_code() -> None:
    refused = StoreRefused("it will not")
    assert isinstance(refused, Unreachable)
    assert (refused.code, refused.exit_code, refused.retry_after) == ("store_refused", 4, None)


def test_what_one_thread_learns_of_a_server_rejects_nothing_of_another() -> None:
    portion, points = Portion(), [point(k) for k in range(8)]
    fault = StoreRefused("it will not")
    for sent in (8, 4, 2):
        assert portion.refused(points, sent, fault).rejected == {}
    assert len(portion.of(points)[0]) == 1
    outcome = portion.refused(points, 8, fault)  # which another thread had sent before
    assert (outcome.rejected, list(outcome.kept)) == ({}, list(range(8)))
    assert len(portion.of(points)[0]) == 4
    for taken in (8, 8, 8):
        portion.taken()
        assert len(portion.of(points)[0]) == taken


def test_a_request_grows_again_after_a_spell_of_refusals() -> None:
    portion, points = Portion(), [point(k) for k in range(64)]
    while len(sent := portion.of(points)[0]) > 1:
        portion.too_large(points, len(sent))
    for _ in range(200):  # from now on all is taken
        portion.taken()
    assert len(portion.of(points)[0]) == len(points)


def test_a_limit_that_stays_is_run_into_seldom() -> None:
    """Requests of more than 10 points are refused for good."""
    portion, points, refused = Portion(), [point(k) for k in range(64)], 0
    for _ in range(1_000):
        if (sent := len(portion.of(points)[0])) > 10:
            refused += 1
            portion.too_large(points, sent)
        else:
            portion.taken()
    assert refused < 70
