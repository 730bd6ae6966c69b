"""Whatever goes wrong outside has a name: every bad message its reason, every bad start its message and exit code.

Through the real commands, against Mosquitto and InfluxDB 1.6. Between bad messages stand good ones, and all of them are
stored; while a store is away or refuses, nothing is acknowledged, and afterwards nothing is missing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.servers import EmbeddedBroker, free_port
from firmware_sim.fleet import Message
from gateway.errors import Unreachable
from gateway.transport.spool import Spools
from tests.commands import Gateway, Stack, await_, deliver, flat, stack
from tests.fronts import StoreFront

ENROLMENT = """\
controller,customer,device,postal_code,valid_from
heat-co,anna,meter-1,11122,2000-01-01
heat-co,bert,meter-2,11122,2200-01-01
"""
NOW = int(time.time() * 1000)
MEGABYTE = 1_000_000
JSON, SENML = "application/json", "application/senml+json"


def at(offset_ms: int, body: str) -> bytes:
    """Flat JSON with a time."""
    return f'{{"time":{NOW + offset_ms},{body}}}'.encode()


def senml(**record: object) -> bytes:
    """One SenML record with an absolute time."""
    return json.dumps([{"bn": "urn:dev:ser:1:", "bt": NOW // 1000, **record}]).encode()


MINUTE, YEAR = 60_000, 365 * 86_400_000
DEEP = b"[" * 100_000 + b"]" * 100_000
BAD: dict[str, tuple[str, bytes, str | None]] = {
    "0 bytes": ("malformed", b"", None),
    "0 bytes said to be SenML": ("malformed", b"", SENML),
    "one space": ("malformed", b" ", None),
    "cut off": ("malformed", at(0, '"power":1')[:-1], None),
    "two documents": ("malformed", at(0, '"power":1') * 2, None),
    "no object": ("malformed", b"42", None),
    "text": ("malformed", b'"power"', None),
    "an empty object": ("malformed", b"{}", None),
    "an empty list": ("malformed", b"[]", None),
    "an empty pack": ("malformed", b"[]", SENML),
    "a time and no reading": ("malformed", f'{{"time":{NOW}}}'.encode(), None),
    "text as a reading": ("malformed", at(0, '"power":"1"'), None),
    "true as a reading": ("malformed", at(0, '"power":true'), None),
    "null as a reading": ("malformed", at(0, '"power":null'), None),
    "a list as a reading": ("malformed", at(0, '"power":[1]'), None),
    "a time that is none": ("malformed", b'{"time":"yesterday","power":1}', None),
    "a time with a fraction": ("malformed", b'{"time":%d.5,"power":1}' % NOW, None),
    "a time that is no day": ("malformed", b'{"time":"2026-02-30T00:00:00Z","power":1}', None),
    "a negative revision": ("malformed", at(0, '"power":1,"rev":-1'), None),
    "a revision that is text": ("malformed", at(0, '"power":1,"rev":"1"'), None),
    "an overlong integer": ("malformed", b'{"time":%s,"power":1}' % (b"9" * 5_000), None),
    "invalid UTF-8": ("malformed", at(0, '"power":1,"room":"K') + b'\xf6k"}', None),
    "invalid UTF-8 in a name": ("malformed", b'{"time":%d,"\xff":1}' % NOW, JSON),
    "UTF-16": ("malformed", at(0, '"power":1').decode().encode("utf-16"), None),
    "bytes": ("malformed", bytes(range(256)), None),
    "deep lists": ("malformed", DEEP, None),
    "deep lists, SenML": ("malformed", DEEP, SENML),
    "deep objects": ("malformed", b'{"a":' * 40_000 + b"1" + b"}" * 40_000, JSON),
    "a deep reading": ("malformed", at(0, '"power":' + "[" * 50_000 + "]" * 50_000), None),
    "contradicting readings": ("malformed", b"[%s,%s]" % (at(0, '"power":1'), at(0, '"power":2')), None),
    "an unknown version of SenML": ("malformed", senml(bver=11, n="power", v=1), SENML),
    "text in SenML": ("malformed", senml(n="power", vs="1"), SENML),
    "no value in SenML": ("malformed", senml(n="power"), SENML),
    "10 MB": ("too_large", b"[" + b" " * 10_000_000 + b"]", None),
    "one byte too many": ("too_large", at(0, '"power":1').ljust(262_145), None),
    "an unknown quantity": ("unknown_quantity", at(0, '"co2":612'), None),
    "an unknown quantity of SenML": ("unknown_quantity", senml(n="co2", u="ppm", v=612), SENML),
    "another unit": ("unit", senml(n="temperature", u="K", v=290), SENML),
    "NaN": ("non_finite", at(0, '"power":NaN'), None),
    "Infinity": ("non_finite", at(0, '"power":-Infinity'), JSON),
    "1e999": ("non_finite", at(0, '"power":1e999'), None),
    "1e999 of SenML": ("non_finite", b'[{"bn":"a:","bt":%d,"n":"power","v":1e999}]' % (NOW // 1000), SENML),
    "too high": ("range", at(0, '"temperature":100.01'), None),
    "too low": ("range", at(0, '"humidity":-0.1'), None),
    "out of range in SenML": ("range", senml(n="valve", v=101), SENML),
    "no time": ("no_time", b'{"power":1}', None),
    "a time that is null": ("no_time", b'{"time":null,"power":1}', JSON),
    "far past": ("too_old", at(-3 * YEAR, '"power":1'), None),
    "1970": ("too_old", b'{"time":0,"power":1}', None),
    "before 1970": ("too_old", b'{"time":-1,"power":1}', None),
    "before 1970, text": ("too_old", b'{"time":"1969-12-31T23:59:59Z","power":1}', None),
    "half an hour ahead": ("future", at(30 * MINUTE, '"power":1'), None),
    "far future": ("future", b'{"time":"2199-01-01T00:00:00Z","power":1}', None),
    "beyond any clock": ("future", b'{"time":"9999-12-31T23:59:59Z","power":1}', None),
}


TOPICS = {
    "no device": ("topic", "glomska/heat-co//readings"),
    "no controller": ("topic", "glomska//meter-1/readings"),
    "an overlong device": ("topic", f"glomska/heat-co/{'x' * 129}/readings"),
    "not enrolled": ("unknown_device", "glomska/heat-co/meter-3/readings"),
    "of another controller": ("unknown_device", "glomska/cold-co/meter-1/readings"),
    "before it belonged to anyone": ("unknown_device", "glomska/heat-co/meter-2/readings"),
}
ELSEWHERE = ("glomska/heat-co/meter-1", "glomska/heat-co/meter-1/readings/more", "glomska/heat-co/meter-1/commands")


@pytest.fixture
def on() -> Iterator[Stack]:
    with stack("servers") as running:
        yield running


@pytest.fixture
def gateway(on: Stack, tmp_path: Path) -> Gateway:
    return enrolled(Gateway(tmp_path, on))


def test_every_bad_message_is_counted_under_its_reason_and_good_ones_are_stored(on: Stack, gateway: Gateway) -> None:
    """Each a number of times of its own, so that two that swap their reasons do not hide each other."""
    own, fine = "glomska/heat-co/meter-1/readings", at(0, '"power":1')
    bad = [
        Message(topic=own, payload=payload, time=NOW, content_type=kind, reason=reason)
        for reason, payload, kind in BAD.values()
    ]
    bad += [Message(topic=name, payload=fine, time=NOW, reason=reason) for reason, name in TOPICS.values()]
    times = [1 if len(message.payload) > MEGABYTE else 1 + number % 7 for number, message in enumerate(bad)]
    repeated = [again for message, count in zip(bad, times, strict=True) for again in [message] * count]
    stream = [message for number, each in enumerate(repeated) for message in (good(number), each)]
    stream += [Message(topic=name, payload=fine, time=NOW) for name in ELSEWHERE]
    with gateway.run() as running:
        deliver(on, *stream, good(len(repeated)))
        gateway.await_points(len(repeated) + 1)
        books = running.stop()
    assert books["refused"] == Counter(message.reason for message in repeated)
    assert (books["stored"], books["untimed"], books["redelivered"]) == (len(repeated) + 1, 0, 0)


def test_good_readings_of_a_message_are_stored_and_bad_ones_counted(on: Stack, gateway: Gateway) -> None:
    mixed = at(0, '"power":1,"temperature":999,"co2":612,"humidity":NaN,"valve":null')
    with gateway.run() as running:
        deliver(on, Message(topic="glomska/heat-co/meter-1/readings", payload=mixed, time=NOW))
        gateway.await_points(1)
        books = running.stop()
    assert (books["stored"], books["refused"]) == (1, {})
    assert books["refused_readings"] == {"malformed": 1, "non_finite": 1, "range": 1, "unknown_quantity": 1}
    assert [(row["quantity"], row["value"]) for row in gateway.read("heat-co/anna")] == [("power", "1")]


def test_all_faults_of_a_configuration_are_said_at_once(gateway: Gateway) -> None:
    gateway.config.write_text(
        'state = 1\npolicies = "x"\n[mqtt]\nurl = "http://here"\nclient_id = ""\nversion = "4"\n'
        '[store]\nurl = "mysql://there"\nbatch_ms = 0\n[keys]\nlease_s = "long"\n[log]\nformat = "xml"\n'
    )
    gateway.environment |= {"GLOMSKA_MQTT__KEEP_ALIVE_S": "1", "GLOMSKA_NOTHING": "secret"}
    said = gateway.refused("run", code=3)
    keys = "state policies nothing mqtt.url mqtt.client_id mqtt.version mqtt.keep_alive_s store.url store.batch_ms"
    assert [key for key in [*keys.split(), "keys.lease_s", "log.format"] if f"{key}: found " not in said] == []
    assert "GLOMSKA_MQTT__KEEP_ALIVE_S" in said
    assert "secret" not in said
    assert said.endswith("next: correct the named keys; `glomska doctor` checks the result\n")


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda g: g.config.unlink(), "gateway.toml"),
        (lambda g: g.config.write_text("[mqtt\n"), "gateway.toml"),
        (lambda g: g.config.write_text('policy = "nowhere.toml"\n'), "nowhere.toml"),
        (lambda g: g.config.write_text('areas = "nowhere.csv"\npolicy = "policy.toml"\n'), "policy.toml"),
    ],
    ids=("missing", "no TOML", "no policy", "neither"),
)
def test_a_file_that_is_missing_or_no_toml_is_named(
    gateway: Gateway, break_it: Callable[[Gateway], object], text: str
) -> None:
    break_it(gateway)
    said = gateway.refused("run", code=3)
    assert said.startswith("glomska: ")
    assert text in said
    assert "\nnext: " in said


@pytest.mark.parametrize(
    ("break_it", "text", "hint"),
    [
        (lambda file: file.unlink(), "cannot be read: No such file or directory", "put the key file back"),
        (lambda file: file.chmod(0o640), "is readable by others (mode 0640)", "chmod 600 the key file"),
        (lambda file: file.write_bytes(b"short"), "does not hold 32 bytes", "put back the key file that belongs"),
        (
            lambda file: file.write_bytes(b"x" * 32),
            "is not the one this key store was wrapped with",
            "put back the key",
        ),
    ],
    ids=("missing", "readable by others", "short", "another one's"),
)
def test_a_key_file_that_does_not_serve_stops_everything(
    on: Stack, gateway: Gateway, break_it: Callable[[Path], object], text: str, hint: str
) -> None:
    (file,) = (gateway.state / "kek").glob("w-*.key")
    break_it(file)
    for command in (("run",), ("read", "-", "--purpose", "provision"), ("erase", "-", "--yes")):
        said = gateway.refused(*command, code=3, stdin="heat-co/anna" * (len(command) > 1)).splitlines()
        ours = [line for line in said if line.startswith(("glomska: ", "next: "))]
        assert len(ours) == 2
        assert ours[0].startswith("glomska: the custodian's key file ")
        assert text in ours[0]
        assert ours[1].startswith(f"next: {hint}")
    assert gateway.points() == 0


@pytest.mark.parametrize("there", [True, False], ids=["mount point", "no directory"])
def test_a_key_medium_that_comes_late_is_told_apart_from_a_missing_key(gateway: Gateway, there: bool) -> None:
    """A supervisor starts the gateway again after 4, not after 3; what it finds then is whole."""
    kek = gateway.state / "kek"
    medium = kek.rename(gateway.state / "medium")
    if there:
        kek.mkdir(mode=0o700)
    for command in (("run",), ("read", "-", "--purpose", "provision"), ("erase", "-", "--yes")):
        said = gateway.refused(*command, code=4, stdin="heat-co/anna" * (len(command) > 1)).splitlines()
        assert f"glomska: the custodian's directory {kek} holds neither key nor mark" in said
        assert "next: mount its medium; until then only a running gateway emits" in said
    if there:
        kek.rmdir()
    assert gateway.points() == 0
    medium.rename(kek)
    with gateway.run() as running:
        running.stop()


def test_a_password_file_that_does_not_serve_is_a_fault_of_the_configuration(gateway: Gateway, tmp_path: Path) -> None:
    secret = tmp_path / "mqtt.password"
    gateway.environment |= {"GLOMSKA_MQTT__USERNAME": "glomska", "GLOMSKA_MQTT__PASSWORD_FILE": str(secret)}
    assert "mqtt.password_file: found no readable file (no such file or directory)" in gateway.refused("run", code=3)
    secret.write_text("hunter2")
    secret.chmod(0o644)
    said = gateway.refused("run", code=3)
    assert "mqtt.password_file: found a file that others may use; allowed: mode 0600" in said
    assert "hunter2" not in said
    secret.chmod(0o600)
    with gateway.run() as running:
        running.stop()


def test_an_unreachable_broker_is_a_clear_error(gateway: Gateway) -> None:
    port = free_port()
    gateway.environment["GLOMSKA_MQTT__PORT"] = str(port)
    assert gateway.refused("run", code=4).splitlines()[-2:] == [
        f"glomska: mqtt broker at 127.0.0.1:{port}: connection refused",
        "next: see that it is running and that the URL in gateway.toml is right, then try again",
    ]


def test_a_busy_port_is_said_of_the_embedded_broker(on: Stack) -> None:
    with pytest.raises(Unreachable) as caught:
        EmbeddedBroker(on.broker.port).start()
    assert str(caught.value).startswith(f"the embedded broker does not start on 127.0.0.1:{on.broker.port}: ")
    assert (caught.value.hint, caught.value.exit_code) == ("is the port taken? 0 picks a free one", 4)


def test_a_store_that_is_down_at_the_start_is_waited_for(on: Stack, gateway: Gateway) -> None:
    assert on.influxdb is not None
    on.influxdb.kill()
    with gateway.run() as running:
        deliver(on, *map(good, range(500)))
        said = running.await_event("spooling", code="unreachable", level="warning")
        assert said["message"].startswith(f"InfluxDB at {on.influxdb.http_url} does not answer: ")
        assert said["hint"].startswith("see that it is running")
        on.influxdb.start()
        gateway.await_points(500)
        running.await_event("recovered: storing")
        books = running.stop()
    assert (books["stored"], books["refused"], books["redelivered"]) == (500, {}, 0)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "unreachable", "answers 401: try later"),
        (413, "unreachable", "finds one reading too large (413)"),
        (429, "unreachable", "answers 429: try later"),
        (500, "unreachable", "answers 500: try later"),
    ],
)
def test_what_a_store_refuses_waits_in_the_spool_until_it_takes_again(
    on: Stack, tmp_path: Path, status: int, code: str, words: str
) -> None:
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url))
        with gateway.run() as running:
            deliver(on, *map(good, range(100)))
            gateway.await_points(100)
            front.answer = status
            deliver(on, *map(good, range(100, 300)))
            said = running.await_event("spooling", code=code)
            await_(lambda: front.asked >= 3, lambda: "it does not try again")
            assert said["message"].endswith(words)
            assert said["hint"]
            assert "secret" not in running.text
            assert len(running.events("spooling")) == 1, "said once, not at every try"
            assert gateway.points() == 100
            front.answer = None
            gateway.await_points(300)
            books = running.stop()
    assert (books["stored"], books["refused"], books["redelivered"]) == (300, {}, 0)


def test_what_a_store_refused_was_not_acknowledged(on: Stack, tmp_path: Path) -> None:
    """Killed while the store refuses, the gateway gets all of it again."""
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url, spool__max_bytes=0))
        front.answer = 500
        with gateway.run() as running:
            deliver(on, *map(good, range(300)))
            await_(lambda: front.asked >= 2, lambda: "nothing was tried")
            running.kill()
        front.answer = None
        with gateway.run() as running:
            gateway.await_points(300)
            assert running.stop()["stored"] == 300


def test_what_waits_is_stored_though_there_is_to_be_no_spool_any_more(on: Stack, tmp_path: Path) -> None:
    """It was acknowledged: nobody sends it again."""
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url))
        front.answer = 503
        with gateway.run() as running:
            deliver(on, *map(good, range(300)))
            await_(lambda: waiting(gateway) == 300, lambda: f"{waiting(gateway)} of 300 wait")
            assert running.stop()["spool"]["taken"] == 300
        front.answer = None
        gateway.environment["GLOMSKA_SPOOL__MAX_BYTES"] = "0"
        with gateway.run() as running:
            gateway.await_points(300)
            await_(lambda: spooled(gateway) == 0, lambda: "it is still there")
            deliver(on, *map(good, range(300, 310)))
            gateway.await_points(310)
            books = running.stop()
        assert (books["stored"], books["spool"]["drained"]) == (10, 300)


@pytest.mark.parametrize(("status", "registered"), [(503, 0), (504, 1)])
def test_who_stops_while_the_store_says_no_is_gone_and_who_may_still_be_obeyed_is_counted(
    on: Stack, tmp_path: Path, status: int, registered: int
) -> None:
    """An erasure waits for a worker whose request may still land, and for no other."""
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url))
        front.answer = status
        with gateway.run() as running:
            deliver(on, *map(good, range(20)))
            running.await_event("spooling")
            await_(lambda: front.asked >= 3, lambda: "it does not try again")
            assert running.stop()["stored"] == 20
    checks = json.loads(gateway.call("doctor", "--json", code=4))["checks"]
    (found,) = (check["detail"] for check in checks if check["name"] == "workers")
    assert found.startswith(f"{registered} running"), found


def test_what_a_store_will_never_take_becomes_dead_letters_and_can_be_replayed(on: Stack, tmp_path: Path) -> None:
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url))
        with gateway.run() as running:
            front.answer = 400
            deliver(on, *map(good, range(60)))
            said = running.await_event("store refuses points", level="error")
            assert "refuses the request (400): for a reason that its own log tells" in said["message"]
            await_(lambda: letters(gateway) == 60, lambda: f"{letters(gateway)} of 60 letters")
            front.answer = None
            deliver(on, *map(good, range(60, 160)))
            gateway.await_points(100)
            books = running.stop()
            assert "secret" not in running.text
        assert (books["stored"], books["refused"]) == (100, {"store": 60})
        gateway.call("dead-letters", "replay", "--json")
        gateway.await_points(160)
        assert letters(gateway) == 0


def letters(gateway: Gateway) -> int:
    """How many dead letters there are."""
    with sqlite3.connect(gateway.state / "letters.db") as file:
        return int(file.execute("SELECT count(*) FROM letter").fetchone()[0])


def test_killed_while_it_spools_and_while_it_drains_nothing_is_lost(on: Stack, tmp_path: Path) -> None:
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url))
        front.answer = 503
        total = 0
        for _ in range(3):
            with gateway.run() as running:
                running.await_event("ready")
                deliver(on, *map(good, range(total, total + 1500)))
                total += 1500
                await_(lambda: spooled(gateway) > 0, lambda: "nothing is spooled")
                running.kill()
        assert gateway.points() == 0
        front.answer = None
        for least in (1, 1500, total):
            with gateway.run() as running:
                await_(lambda: gateway.points() >= least, lambda: f"{gateway.points()} of {least}")  # noqa: B023
                running.kill()
        gateway.await_points(total)
        with gateway.run() as running:
            await_(lambda: spooled(gateway) == 0, lambda: f"{spooled(gateway)} bytes wait")
            running.stop()
        assert gateway.points() == total


def spooled(gateway: Gateway) -> int:
    """Bytes in the spools."""
    return Spools(gateway.state / "spool", max_bytes=1).size()


def waiting(gateway: Gateway) -> int:
    """Points in the spools."""
    return sum(waits.points for waits in Spools(gateway.state / "spool", max_bytes=1).report())


def test_stopped_while_the_store_is_away_it_ends_and_keeps_nothing_back(on: Stack, tmp_path: Path) -> None:
    """More has been read than its queue holds when SIGTERM comes; it must end all the same, and acknowledge nothing."""
    assert on.influxdb is not None
    with StoreFront(on.influxdb.port) as front:
        gateway = enrolled(Gateway(tmp_path, on, store_url=front.url, store__batch_points=1, spool__max_bytes=0))
        front.answer = 500
        with gateway.run() as running:
            for first in range(0, 4000, 50):  # pieces that arrive one by one
                deliver(on, *map(good, range(first, first + 50)))
            running.await_event("waiting: storing")
            assert running.stop()["stored"] == 0
        front.answer = None
        with gateway.run() as running:
            gateway.await_points(4000)
            assert running.stop()["stored"] == 4000


def test_a_store_killed_twice_under_load_loses_and_doubles_nothing(on: Stack, gateway: Gateway) -> None:
    influxdb = on.influxdb
    assert influxdb is not None

    def stream() -> Iterator[Message]:
        for number in range(6000):
            if number in {1500, 4000}:
                influxdb.kill()
            if number in {3000, 5000}:
                influxdb.start()
            yield good(number)

    with gateway.run() as running:
        deliver(on, *stream())
        gateway.await_points(6000)
        books = running.stop()
    assert (books["stored"], books["refused"], books["redelivered"]) == (6000, {}, 0)


def enrolled(gateway: Gateway) -> Gateway:
    gateway.enrol(ENROLMENT)
    return gateway


def good(number: int) -> Message:
    """One of any number of messages that are each a point."""
    return flat("glomska/heat-co/meter-1/readings", NOW - 1 - number, power=number)
