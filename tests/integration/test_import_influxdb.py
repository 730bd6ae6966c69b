"""History from a real plaintext InfluxDB 1.6: once in effect whenever it is killed, and purged only when it is safe.

The same from an InfluxDB 2: a stand-in that answers as documented, and a real one if `GLOMSKA_TEST_INFLUXDB2` names it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from benchmarks.servers import InfluxDB1, free_port, http
from gateway.errors import Refused, UsageFault
from gateway.policy.load import load_policy
from gateway.runtime.config import resource
from gateway.transport.history.influx import InfluxHistory, SourceUnreachable
from gateway.transport.history.mapping import MappingFault, load_mapping
from gateway.transport.history.playback import Page
from gateway.transport.store import Login
from tests.commands import PATIENCE_S
from tests.conformance.documented import ORGANISATION, TOKEN, Documented
from tests.conformance.influxdb2 import PROGRAM, InfluxDB2
from tests.integration.test_import import CANARY, begun, ended_at, gateway, leaks, readings, remembered

POLICY = load_policy(resource("policy.toml"))
MAPPING = """\
[[influxdb]]
measurement = "thermo stats"
controller = "demo"
device_tag = "id"
where = { kind = "it's" }
[influxdb.quantity.temperature]
field = "temp"
unit = "Cel"
factor = 0.1
[influxdb.quantity.power]
field = "watts"
unit = "W"

[[influxdb]]
measurement = "meters"
controller_tag = "firm"
device_tag = "id"
ignore = ["note"]
[influxdb.quantity.energy]
field = "kwh"
unit = "kWh"
"""
BEGIN, YEAR, MINUTE = 1_577_836_800, 366 * 86_400, 60
COUNT = 60_000
ENROLMENT = f"""\
controller,customer,device,postal_code,valid_from
demo,anna,{CANARY}t1,111 22,2012-01-01
demo,anna,{CANARY}m1,111 22,2012-01-01
demo,bo,{CANARY}t2,111 22,2012-01-01
"""


@pytest.fixture(scope="module")
def server() -> Iterator[InfluxDB1]:
    with InfluxDB1() as running:
        yield running


_NUMBERS = itertools.count()


@pytest.fixture
def database(server: InfluxDB1) -> str:
    """A new one."""
    name = f"plain{next(_NUMBERS)}"
    server.create_database(name)
    return name


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(MAPPING)
    return path


def write(server: InfluxDB1, database: str, *lines: str, policy: str = "") -> None:
    """Line protocol, times in ns."""
    http(f"{server.http_url}/write?db={database}&rp={policy}", data="\n".join(lines).encode())


def address(server: InfluxDB1, database: str) -> str:
    return f"influxdb1+{server.http_url}/{database}"


def count(server: InfluxDB1, database: str, measurement: str) -> int:
    """Values of all fields."""
    statement = f'SELECT COUNT(*) FROM "{measurement}"'  # noqa: S608 - our own names
    answer = json.loads(server.query(statement, database))["results"][0]
    return sum(sum(row[1:]) for series in answer.get("series", []) for row in series["values"])


def thermostat(device: str, step: int) -> str:
    """A reading a minute; a month is missing after the first half."""
    at = BEGIN + MINUTE * step + (30 * 86_400 if step >= COUNT // 2 else 0)
    return f"thermo\\ stats,id={device},kind=it's temp={200 + step % 50}i,watts={step % 3000} {at}000000000"


def filled(server: InfluxDB1, database: str) -> int:
    """How many rows are there."""
    for first in range(0, COUNT, 10_000):
        lines = [thermostat(f"{CANARY}t{1 + step % 2}", step) for step in range(first, first + 10_000)]
        write(server, database, *lines)
    meters = [f'meters,firm=demo,id={CANARY}m1 kwh={n},note="n" {BEGIN + 3600 * n}000000000' for n in range(1000)]
    write(server, database, *meters, "thermo\\ stats,id=other,kind=rest temp=1i 1", "weather temp=1 1")
    return COUNT + 1000


def test_killed_at_random_and_purged_at_the_end(
    server: InfluxDB1, database: str, mapping: Path, tmp_path: Path
) -> None:
    rows = filled(server, database)
    of = gateway(tmp_path, months=240)
    of.enrol(ENROLMENT)
    words = ("--influxdb", address(server, database), "--mapping", str(mapping), "--json")
    for target in (0, 1):
        assert ended_at(of, target, signal.SIGKILL, *words) == -signal.SIGKILL
        assert remembered(of) >= 0
    books = json.loads(of.call("import", *words, "--purge-source", "--yes"))
    assert 0 < books.pop("resumed") < rows
    assert books == {
        "read": rows,
        "stored": rows,
        "refused": {},
        "refused_readings": {},
        "purged": 2 * COUNT + 1000,
    }
    assert of.points() == rows
    found = readings(of, "anna")
    assert len(found) == COUNT + 1000
    assert found[f"{CANARY}t1", "2020-01-01T00:02:00Z", "temperature"] == 20.2
    assert found[f"{CANARY}t1", "2020-01-01T00:02:00Z", "power"] == 2
    assert found[f"{CANARY}m1", "2020-01-01T02:00:00Z", "energy"] == 2
    assert len(readings(of, "bo")) == COUNT
    assert count(server, database, "meters") == 0
    assert count(server, database, "thermo stats") == 1, "the part with other tags stays"
    assert count(server, database, "weather") == 1
    assert leaks(of) == []
    acts = [json.loads(line) for line in (of.state / "ledger" / "ledger.jsonl").read_text().splitlines()]
    purges = [act for act in acts if act["act"] == "purge-source" and act["phase"] == "intent"]
    assert [(act["state"], act.get("values")) for act in purges] == [("begun", None), ("complete", 2 * COUNT + 1000)]


def test_nothing_is_purged_where_readings_were_refused_unless_told(
    server: InfluxDB1, database: str, mapping: Path, tmp_path: Path
) -> None:
    write(
        server,
        database,
        f"meters,firm=demo,id={CANARY}m1 kwh=1 {BEGIN}000000000",
        f"meters,firm=demo,id={CANARY}m9 kwh=2 {BEGIN}000000000",
    )
    write(server, database, f"thermo\\ stats,id={CANARY}t1,kind=it's temp=1i,watts=1 {BEGIN}000000000")
    of = gateway(tmp_path, months=240)
    of.enrol(ENROLMENT)
    words = ("--influxdb", address(server, database), "--mapping", str(mapping), "--purge-source")
    said = of.refused("import", *words, "--yes", code=5)
    assert said.startswith("glomska: 2 rows are stored, 1 readings were refused: nothing was deleted from the source")
    assert count(server, database, "meters") == 2
    assert of.refused("import", *words, code=2).startswith("glomska: nobody can be asked whether to delete")
    books = json.loads(of.call("import", *words, "--yes", "--purge-refused", "--json"))
    assert (books["read"], books["stored"], books["refused"]) == (3, 2, {"unknown_device": 1})
    assert (books["purged"], count(server, database, "meters")) == (4, 0)
    assert leaks(of) == []


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 5, 1), ("y", 0, 0)])
def test_on_a_terminal_it_asks_before_it_deletes(
    server: InfluxDB1, database: str, tmp_path: Path, answer: str, code: int, left: int
) -> None:
    write(server, database, f"meters,firm=demo,id={CANARY}m1 kwh=1 {BEGIN}000000000")
    of = gateway(tmp_path, months=240)
    of.enrol(ENROLMENT)
    words = f"import --influxdb {address(server, database)} --mapping {one_meter(tmp_path)} --purge-source"
    done = subprocess.run(
        ["script", "-qec", f"{Path(sys.executable).with_name('glomska')} {words}", "/dev/null"],
        input=f"{answer}\n",
        env=of.environment | {"TERM": "xterm"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert "Delete 1 values from the source for good? [y/N]: " in done.stdout
    assert "1 rows" in done.stdout
    assert (done.returncode, count(server, database, "meters"), of.points()) == (code, left, 1)


def read(history: InfluxHistory) -> list[Page]:
    history.judge()
    return list(history.pages(None))


def one_meter(tmp_path: Path) -> Path:
    path = tmp_path / "meters.toml"
    path.write_text(MAPPING.partition("\n\n")[2])
    return path


def test_nothing_is_purged_that_was_not_read(server: InfluxDB1, database: str, tmp_path: Path) -> None:
    line = "meters,firm=demo,id=a kwh={} {}"
    write(server, database, line.format(1, 10), line.format(2, 20))
    history = InfluxHistory(load_mapping(one_meter(tmp_path), POLICY), address(server, database))
    assert [row.payload for page in read(history) for row in page.rows] == [
        b'{"time":"1970-01-01T00:00:00.000000010Z","energy":1.0}',
        b'{"time":"1970-01-01T00:00:00.000000020Z","energy":2.0}',
    ]
    write(server, database, line.format(3, 15))
    with pytest.raises(Refused, match="has 3 values where 2 were read: nothing was deleted"):
        history.purge()
    read(history)
    write(server, database, "meters,firm=demo,id=a volts=230 12")
    with pytest.raises(Refused, match="would take fields that were not read: volts"):
        history.purge()
    assert count(server, database, "meters") == 4
    history.close()


def test_nothing_is_purged_from_other_retention_policies(server: InfluxDB1, database: str, tmp_path: Path) -> None:
    server.query(f"CREATE RETENTION POLICY yearly ON {database} DURATION INF REPLICATION 1")
    write(server, database, "meters,firm=demo,id=a kwh=1 10")
    write(server, database, "meters,firm=demo,id=a kwh=5 10", policy="yearly")
    mapping = load_mapping(one_meter(tmp_path), POLICY)
    for rp, value in (("", b"1.0"), ("?rp=yearly", b"5.0")):
        history = InfluxHistory(mapping, address(server, database) + rp)
        ((row,),) = [page.rows for page in read(history)]
        assert value in row.payload
        with pytest.raises(Refused, match="other retention policies"):
            history.purge()
        history.close()
    assert count(server, database, "meters") == 1


def test_what_comes_after_the_beginning_is_neither_read_nor_purged(
    server: InfluxDB1, database: str, tmp_path: Path
) -> None:
    write(server, database, "meters,firm=demo,id=a kwh=1 10")
    history = InfluxHistory(load_mapping(one_meter(tmp_path), POLICY), address(server, database))
    pages = history.pages(None)
    first = next(pages)
    write(server, database, "meters,firm=demo,id=a kwh=2 20")
    assert [len(page.rows) for page in (first, *pages)] == [1]
    assert history.purge() == 1
    assert count(server, database, "meters") == 1
    history.close()


def test_two_values_of_one_time_that_other_tags_tell_apart_are_not_both_read(
    server: InfluxDB1, database: str, tmp_path: Path
) -> None:
    write(
        server,
        database,
        "meters,firm=demo,id=a,room=x kwh=1 10000000",
        "meters,firm=demo,id=a,room=y kwh=2 10000000",
        "meters,firm=demo,id=a,room=y kwh=3 20000000",
        'meters,firm=demo,id=b,room=y note="only" 20000000',
    )
    history = InfluxHistory(load_mapping(one_meter(tmp_path), POLICY), address(server, database))
    payloads = sorted(row.payload for page in read(history) for row in page.rows)
    assert payloads == [b"", b'{"time":10,"energy":1.0}', b'{"time":20,"energy":3.0}']
    history.close()


Second = Documented | InfluxDB2


@pytest.fixture(scope="module", params=["influxdb2-as-documented", *(["influxdb2"] if PROGRAM else [])])
def second(request: pytest.FixtureRequest) -> Iterator[Second]:
    with Documented() if request.param.endswith("documented") else InfluxDB2() as running:
        yield running


@pytest.fixture
def bucket(second: Second) -> str:
    """A new one."""
    name = f"plain{next(_NUMBERS)}"
    second.create_bucket(name)
    return name


def write2(second: Second, bucket: str, *lines: str) -> None:
    """Line protocol, times in ns."""
    url = f"{second.http_url}/api/v2/write?org={ORGANISATION}&bucket={bucket}&precision=ns"
    answer = urllib3.request("POST", url, body="\n".join(lines).encode(), headers={"Authorization": f"Token {TOKEN}"})
    assert answer.status == 204, answer.data


def opened2(second: Second, bucket: str, mapping: Path, policy: str = "") -> InfluxHistory:
    url = f"influxdb2+{second.http_url}/{ORGANISATION}/{bucket}{policy}"
    return InfluxHistory(load_mapping(mapping, POLICY), url, login=Login(token=TOKEN.encode()))


def left2(second: Second, bucket: str, mapping: Path) -> int:
    """Values that are there of what the mapping names."""
    with contextlib.closing(opened2(second, bucket, mapping)) as history:
        for _ in history.pages(None):
            pass
        return history.values


def test_an_influxdb_2_is_imported_in_pieces_and_purged_at_the_end(
    second: Second, bucket: str, mapping: Path, tmp_path: Path
) -> None:
    for first in range(0, COUNT, 10_000):
        write2(second, bucket, *(thermostat(f"{CANARY}t1", step) for step in range(first, first + 10_000)))
    write2(second, bucket, f'meters,firm=demo,id={CANARY}m1 kwh=1,note="n" {BEGIN}000000000')
    write2(second, bucket, "thermo\\ stats,id=other,kind=rest temp=1i,watts=1i 1", "weather temp=1 1")
    of = gateway(tmp_path, months=240)
    of.enrol(ENROLMENT)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    address = f"influxdb2+{second.http_url}/{ORGANISATION}/{bucket}"
    words = ("--influxdb", address, "--mapping", str(mapping), "--token-file", str(tmp_path / "token"), "--json")
    assert ended_at(of, 0, signal.SIGKILL, *words) == -signal.SIGKILL
    books = json.loads(of.call("import", *words, "--purge-source", "--yes"))
    assert 0 < books["resumed"] < COUNT
    assert (books["stored"], books["purged"]) == (COUNT + 1, 2 * COUNT + 1)
    assert len(readings(of, "anna")) == 2 * COUNT + 1
    assert left2(second, bucket, mapping) == 0
    mapping.write_text(MAPPING.replace("it's", "rest"))
    assert left2(second, bucket, mapping) == 2, "the part with other tags stays"
    assert leaks(of) == []


def test_of_an_influxdb_2_nothing_goes_that_was_not_read(second: Second, bucket: str, tmp_path: Path) -> None:
    write2(second, bucket, "meters,firm=demo,id=a kwh=1 10", "meters,firm=demo,id=a kwh=2 20")
    with contextlib.closing(opened2(second, bucket, one_meter(tmp_path))) as history:
        read(history)
        write2(second, bucket, "meters,firm=demo,id=a kwh=3 15")
        with pytest.raises(Refused, match="has 3 values where 2 were read: nothing was deleted"):
            history.purge()
        read(history)
        write2(second, bucket, "meters,firm=demo,id=a volts=230 12")
        with pytest.raises(Refused, match="would take fields that were not read: volts"):
            history.purge()
        assert left2(second, bucket, one_meter(tmp_path)) == 3


def test_what_comes_after_the_beginning_stays_in_an_influxdb_2(second: Second, bucket: str, tmp_path: Path) -> None:
    write2(second, bucket, "meters,firm=demo,id=a kwh=1 1577836800000000001")
    with contextlib.closing(opened2(second, bucket, one_meter(tmp_path))) as history:
        pages = history.pages(None)
        first = next(pages)
        write2(second, bucket, "meters,firm=demo,id=a kwh=2 1577836800000000002")
        assert [len(page.rows) for page in (first, *pages)] == [1]
        assert history.purge() == 1
    assert left2(second, bucket, one_meter(tmp_path)) == 1


def test_where_a_name_may_mean_several_buckets_nothing_is_deleted(tmp_path: Path) -> None:
    with Documented() as second:
        for name in ("plain", "other"):
            second.create_bucket(name)
        write2(second, "plain", "meters,firm=demo,id=a kwh=1 10000000")
        with contextlib.closing(opened2(second, "plain", one_meter(tmp_path))) as history:
            assert [row.payload for page in read(history) for row in page.rows] == [b'{"time":10,"energy":1.0}']
            second.map("plain", "long", "other", default=True)
            with pytest.raises(Refused, match="may mean several buckets: nothing was deleted"):
                history.purge()
            second.mappings.clear()
            assert history.purge() == 1


def test_a_login_that_may_not_delete_is_told_so(second: Second, bucket: str, tmp_path: Path) -> None:
    write2(second, bucket, "meters,firm=demo,id=a kwh=1 10000000")
    url = f"influxdb2+{second.http_url}/{ORGANISATION}/{bucket}"
    history = InfluxHistory(load_mapping(one_meter(tmp_path), POLICY), url, login=Login(token=b"wrong"))
    with contextlib.closing(history), pytest.raises(SourceUnreachable, match="answers 401") as caught:
        read(history)
    assert "--token-file" in caught.value.hint
    with pytest.raises(UsageFault):
        InfluxHistory(load_mapping(one_meter(tmp_path), POLICY), url.replace(ORGANISATION, "some organisation"))


def test_every_fault_of_a_source_is_told_at_once(server: InfluxDB1, database: str, mapping: Path) -> None:
    write(server, database, "meters,id=a kw=1 10")
    history = InfluxHistory(load_mapping(mapping, POLICY), address(server, database))
    with pytest.raises(MappingFault) as caught:
        history.judge()
    assert str(caught.value).splitlines() == [
        "influxdb[0].measurement: the source has none of this name",
        "  influxdb[1]: the measurement has no field kwh",
        "  influxdb[1]: the measurement has no tag firm",
    ]
    history.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8086/plain",
        "influxdb1+http://localhost:8086",
        "influxdb1+http://localhost:99999/plain",
        "influxdb1+http://anna:secret@localhost/plain",
        "influxdb1+http://localhost/plain?policy=a",
        "influxdb2+http://localhost/bucket",
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(mapping: Path, url: str) -> None:
    with pytest.raises(UsageFault, match="this is no address of an InfluxDB") as caught:
        InfluxHistory(load_mapping(mapping, POLICY), url)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_source_that_is_away_is_a_reason_to_repeat(mapping: Path) -> None:
    history = InfluxHistory(load_mapping(mapping, POLICY), f"influxdb1+http://127.0.0.1:{free_port()}/plain")
    with pytest.raises(SourceUnreachable, match=r"^the source at http") as caught:
        history.judge()
    assert (caught.value.exit_code, caught.value.retryable) == (4, True)
    history.close()


def test_a_database_that_goes_away_meanwhile_is_not_taken_for_its_end(
    server: InfluxDB1, database: str, mapping: Path, tmp_path: Path
) -> None:
    filled(server, database)
    of = gateway(tmp_path, months=240)
    of.enrol(ENROLMENT)
    words = ("--influxdb", address(server, database), "--mapping", str(mapping), "--json")
    with begun(of, *words) as process:
        server.kill()
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            server.restart()
    assert process.returncode == 4
    assert json.loads(said)["error"]["retryable"]
    assert json.loads(of.call("import", *words))["stored"] == COUNT + 1000
