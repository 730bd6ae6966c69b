"""The faulty fleet over TLS, by MQTT 5 and 3.1.1, at a Mosquitto as it is shipped, into InfluxDB: lost 0, duplicated 0.

Killed and cut off in the middle, with certificates replaced while it runs. What the broker's access list keeps out
never arrives, so it stands in no book.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.certificates import Authority
from benchmarks.servers import InfluxDB1, SecureMosquitto
from firmware_sim.connection import Broker
from firmware_sim.fleet import Kind, Message
from firmware_sim.login import Login
from firmware_sim.publish import publish
from tests.commands import Gateway, Stack, await_
from tests.fronts import Relay
from tests.integration.test_fleet import balance, enrolment, entry, interrupted, marker, reads_back, small_fleet

OWN = "glomska/demo/"
WAYS = {
    "tls": {},
    "tls-3.1.1": {"mqtt__version": "3.1.1"},
}


def send(broker: SecureMosquitto, *messages: Message, user: str) -> None:
    login = Login(username=user, password_file=broker.password_file, ca_file=broker.authority.ca)
    assert publish(messages, Broker.at(broker.url, login=login), client_id=user).deliveries == len(messages)


@pytest.mark.parametrize("way", WAYS)
def test_killed_cut_off_and_renewed_in_the_middle_nothing_is_lost_or_doubled(way: str, tmp_path: Path) -> None:
    homes, stream = small_fleet()
    arriving = [message for message in stream if allowed(message)]
    with (
        SecureMosquitto(users=("demo", "marker")) as broker,
        InfluxDB1(database="glomska") as influxdb,
        Relay(broker.mtls_port) as relay,
        contextlib.ExitStack() as lives,
    ):
        own = broker.authority.issue("glomska")
        files = {"ca_file": broker.authority.ca, "certificate_file": own.certificate, "key_file": own.key}
        keys = {f"mqtt__{name}": str(path) for name, path in files.items()} | WAYS[way]
        on = Stack(broker, influxdb.url, influxdb)
        gateway = Gateway(tmp_path, on, broker_url=relay.url.replace("mqtt:", "mqtts:"), **keys)
        gateway.enrol(enrolment(homes))
        running = lives.enter_context(gateway.run())

        def kill() -> None:
            await_(lambda: gateway.points() > 0, lambda: "nothing is stored")
            running.kill()

        def begin() -> None:
            nonlocal running
            running = lives.enter_context(gateway.run())

        def cut() -> None:
            assert relay.cut() > 0

        def renew() -> None:
            broker.authority.issue("glomska")
            running.await_event("broker", state="certificates replaced: connecting again")

        acts = {0.2: [cut], 0.3: [kill], 0.4: [begin], 0.5: [cut], 0.6: [renew], 0.8: [cut, kill, begin]}
        login = Login(username="demo", password_file=broker.password_file, ca_file=broker.authority.ca)
        tally = publish(interrupted(stream, acts), Broker.at(broker.url, login=login))
        assert tally.kinds == Counter(message.kind for message in stream)
        assert tally.rejected == len(stream) - len(arriving)
        valid = sum(message.kind is Kind.VALID for message in arriving)
        send(broker, marker(0), user="marker")
        gateway.await_points(valid + 1)
        running.stop()
        record = [entry(message) for message in arriving]
        reads_back(gateway, [(home.controller, home.customer, home.device) for home in homes], record)
        send(broker, marker(1), user="marker")
        with gateway.run() as again:
            gateway.await_points(valid + 2)
            books = again.stop()
        assert (books["stored"], books["refused"]) == (1, {}), "everything was acknowledged"


@pytest.mark.parametrize("way", WAYS)
def test_books_balance_with_a_login_by_password(way: str, tmp_path: Path) -> None:
    homes, stream = small_fleet()
    arriving = [message for message in stream if allowed(message)]
    with SecureMosquitto(users=("demo", "marker")) as broker, InfluxDB1(database="glomska") as influxdb:
        login = {"mqtt__username": "glomska", "mqtt__password_file": str(broker.password_file)}
        keys = {"mqtt__ca_file": str(broker.authority.ca)} | login | WAYS[way]
        gateway = Gateway(tmp_path, Stack(broker, influxdb.url, influxdb), **keys)
        gateway.enrol(enrolment(homes))
        with gateway.run() as running:
            send(broker, *arriving, user="demo")
            send(broker, marker(0), user="marker")
            gateway.await_points(sum(message.kind is Kind.VALID for message in arriving) + 1)
            books = running.stop()
        balance(books, [entry(message) for message in arriving])


@pytest.mark.parametrize("way", WAYS)
def test_the_doctor_speaks_to_such_a_broker_and_names_what_is_wrong(way: str, tmp_path: Path) -> None:
    with SecureMosquitto() as broker:
        login = {"mqtt__username": "glomska", "mqtt__password_file": str(broker.password_file)}
        keys = {"mqtt__ca_file": str(broker.authority.ca)} | login | WAYS[way]
        gateway = Gateway(tmp_path, Stack(broker, "sqlite:///readings.db"), **keys)
        assert "takes the subscription with QoS 1" in gateway.call("doctor")
        gateway.environment["GLOMSKA_MQTT__CA_FILE"] = str(Authority(tmp_path, "other").ca)
        told = gateway.call("doctor", code=4)
        assert "its certificate is of an authority unknown here" in told.replace("\n", " ")
        assert "authority unknown here" in gateway.refused("run", code=4)
        broker.password_file.write_text("wrong horse")
        gateway.environment["GLOMSKA_MQTT__CA_FILE"] = str(broker.authority.ca)
        assert "refuses the connection: not_authorized" in gateway.refused("run", code=4)
        assert not any("horse" in text for text in gateway.said)


def allowed(message: Message) -> bool:
    """Whether the access list lets the user `demo` publish it."""
    return message.topic.startswith(OWN) and message.topic.endswith("/readings") and message.topic.count("/") == 3
