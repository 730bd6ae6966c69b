"""One reading of one home, in every format and by every way in, is one point: same series, same sealed bytes.

What a message left in the store is taken away before the next one is sent, so nothing that came before can stand in for
a message that was lost, or was read as something else. Sealing is deterministic: equal bytes are equal values, and what
they open to is looked at as well.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.servers import EmbeddedBroker, InfluxDB1, Mosquitto, SecureMosquitto, http
from firmware_sim.connection import Broker
from firmware_sim.login import Login
from firmware_sim.publish import publish
from gateway.runtime.config import resource
from tests.commands import PATIENCE_S, Gateway, Stack, flat
from tests.integration.test_formats import ENROLMENT, HOME, OURS, SECOND, TOLD, UNITS
from tests.integration.test_import import stamp

NS = 10**9
MAPPINGS = json.dumps([str(resource(f"mappings/{firmware}.toml")) for firmware in ("zigbee2mqtt", "tasmota")])
WAYS: dict[str, dict[str, str]] = {
    "mqtt": {},
    "tls": {},
    "mtls": {},
    "mqtt-3.1.1": {"mqtt__version": "3.1.1"},
    "mtls-3.1.1": {"mqtt__version": "3.1.1"},
    "controller": {"mqtt__connection_per": "controller"},
}
HISTORY = """\
[[csv]]
files = 'meter\\.csv'
controller_column = "controller"
device_column = "device"
time = { column = "time", zone = "Europe/Stockholm" }
[[influxdb]]
measurement = "meters"
controller = "home"
device_tag = "id"
""" + "".join(
    f'[{kind}.quantity.{name}]\n{key} = "{name}"\nunit = "{unit}"\n'
    for kind, key in (("csv", "column"), ("influxdb", "field"))
    for name, unit in UNITS.items()
)
Point = tuple[str | int | float, ...]


class Spoken(SecureMosquitto):
    """As it is shipped, with the topics of mappings allowed as its access list says."""

    def arguments(self) -> list[str]:
        arguments = super().arguments()
        path = self.directory / "glomska.acl"
        text = path.read_text().replace("#   topic read", "topic read")
        path.write_text(f"{text}\nuser home\ntopic write zigbee2mqtt/+\ntopic write tele/+/SENSOR\n")
        return arguments


@contextlib.contextmanager
def spoken(way: str) -> Iterator[tuple[Mosquitto, str, dict[str, str], Login]]:
    """A broker, its URL for the gateway, the keys of its login, and the devices' own login."""
    if "tls" not in way:
        with Mosquitto() as plain:
            yield plain, plain.url, {}, Login()
        return
    with Spoken(users=("home",)) as broker:
        login = Login(username="home", password_file=broker.password_file, ca_file=broker.authority.ca)
        keys = {"mqtt__ca_file": str(broker.authority.ca)}
        if way.partition("-")[0] == "tls":
            by_name = {"mqtt__username": "glomska", "mqtt__password_file": str(broker.password_file)}
            yield broker, broker.url, keys | by_name, login
        else:
            own = broker.authority.issue("glomska")
            files = {"mqtt__certificate_file": str(own.certificate), "mqtt__key_file": str(own.key)}
            yield broker, broker.mtls_url, keys | files, login


def taken(gateway: Gateway) -> list[Point]:
    """What is stored at the reading's time; it is gone from there afterwards."""
    with contextlib.closing(sqlite3.connect(gateway.state / "readings.db", timeout=PATIENCE_S)) as database:
        found = database.execute(
            "SELECT measurement, pseudonym, area, time, name, value FROM point"
            " JOIN series ON point.series = series.id JOIN field ON point.field = field.id WHERE time = ?",
            [SECOND * NS],
        ).fetchall()
        database.execute("DELETE FROM point WHERE time = ?", [SECOND * NS])
        database.commit()
    return found


def by_broker(way: str, directory: Path) -> list[list[Point]]:
    """What each format left, sent by one way."""
    with spoken(way) as (broker, url, login, devices):
        on = Stack(broker, "sqlite:///readings.db")
        gateway = Gateway(directory, on, broker_url=url, mqtt__mappings=MAPPINGS, **login, **WAYS[way])
        before, left = gateway.points(), []
        with gateway.run() as running:
            for number, told in enumerate(TOLD, start=1):
                later = flat(OURS, (SECOND + before + number) * 1000, power=1)  # it tells that `told` is stored
                assert publish([told, later], Broker.at(broker.url, login=devices)).deliveries == 2
                gateway.await_points(before + number + 1)
                left.append(taken(gateway))
            books = running.stop()
        assert (books["stored"], books["refused"], books["untimed"]) == (2 * len(TOLD), {}, 0)
    return left


def by_import(directory: Path) -> list[list[Point]]:
    """What the same reading left as a row of a file and as one of an InfluxDB."""
    gateway = Gateway(directory, Stack(EmbeddedBroker(), "sqlite:///readings.db"))
    (directory / "history.toml").write_text(HISTORY)
    local = dt.datetime.fromtimestamp(SECOND, ZoneInfo("Europe/Stockholm")).replace(tzinfo=None)
    cells = ",".join(map(str, HOME.values()))
    (directory / "meter.csv").write_text(f"controller,device,time,{','.join(HOME)}\nhome,meter-1,{local},{cells}\n")
    with InfluxDB1(database="plain") as source:
        fields = ",".join(f"{name}={value}" for name, value in HOME.items())
        http(f"{source.http_url}/write?db=plain", data=f"meters,id=meter-1 {fields} {SECOND * NS}".encode())
        left = []
        for words in (("--csv", "meter.csv"), ("--influxdb", f"influxdb1+{source.http_url}/plain")):
            books = json.loads(gateway.call("import", *words, "--mapping", "history.toml", "--json"))
            assert (books["stored"], books["refused"]) == (1, {})
            left.append(taken(gateway))
    return left


def test_one_reading_by_every_way_and_in_every_format_is_one_point(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Stack(EmbeddedBroker(), "sqlite:///readings.db"))
    gateway.enrol(ENROLMENT)
    left = {way: by_broker(way, tmp_path) for way in WAYS} | {"import": by_import(tmp_path)}
    (point,) = left["mqtt"][0]
    assert left == {way: [[point]] * (2 if way == "import" else len(TOLD)) for way in (*WAYS, "import")}
    gateway.call("import", "--csv", "meter.csv", "--mapping", "history.toml")
    rows = [row for row in gateway.read("home/anna") if row["time"] == stamp(SECOND)]
    said = [(row["quantity"], row["unit"], float(row["value"])) for row in rows]
    assert said == [(quantity, UNITS[quantity], HOME[quantity]) for quantity in sorted(HOME)]
