"""What a broker retains of an erased customer is cleared, with the access list that is shipped and no more right."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt import publish as paho_publish
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.servers import SecureMosquitto
from tests.commands import Gateway, Stack, flat
from tests.integration.test_fleet import COLUMNS

PATIENCE_S = 120.0
OWNERS = {1: "anna", 2: "anna", 3: "bo"}
HOMES = "\n".join([COLUMNS, *(f"home,{who},meter-{n},111 22,2026-01-01" for n, who in OWNERS.items()), ""])
SHIPPED = "\ntopic readwrite glomska/+/+/readings\n"


class ReadOnly(SecureMosquitto):
    """As shipped, but that the gateway's user may only read."""

    def arguments(self) -> list[str]:
        arguments = super().arguments()
        self._list = self.directory / "glomska.acl"
        self._shipped = self._list.read_text()
        assert SHIPPED in self._shipped
        self._list.write_text(self._shipped.replace(SHIPPED, "\ntopic read glomska/+/+/readings\n"))
        return arguments

    def allow(self) -> None:
        """What is shipped, as of now."""
        self._list.write_text(self._shipped)
        os.kill(self.pid, signal.SIGHUP)


def topic(number: int) -> str:
    return f"glomska/home/meter-{number}/readings"


def publish(broker: SecureMosquitto, *topics: str, retain: bool) -> None:
    """As devices do, under their controller's login."""
    now = int(time.time()) * 1000
    paho_publish.multiple(
        [(one, flat(one, now, temperature=20.5).payload, 1, retain) for one in topics],
        "127.0.0.1",
        broker.port,
        auth={"username": "home", "password": broker.PASSWORD},
        tls={"ca_certs": str(broker.authority.ca)},
        protocol=paho.MQTTv5,
    )


def retained(broker: SecureMosquitto) -> set[str]:
    """Topics of which whoever subscribes now is given a message; one that is sent afterwards ends them."""
    found, ready, over = set[str](), threading.Event(), threading.Event()

    def take(message: paho.MQTTMessage) -> None:
        if message.retain:
            found.add(message.topic)
        elif message.topic == topic(9):
            over.set()

    def ask() -> None:
        client.subscribe("glomska/+/+/readings", 1)

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set("glomska", broker.PASSWORD)
    client.tls_set(str(broker.authority.ca))
    client.on_connect = lambda *_: ask()
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _user, message: take(message)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert ready.wait(PATIENCE_S)
    publish(broker, topic(9), retain=False)
    assert over.wait(PATIENCE_S)
    client.disconnect()
    client.loop_stop()
    return found


def gateway_at(broker: SecureMosquitto, directory: Path) -> Gateway:
    """With three devices of two customers, of each of which the broker retains a message."""
    gateway = Gateway(
        directory,
        Stack(broker, "sqlite:///readings.db"),
        mqtt__ca_file=str(broker.authority.ca),
        mqtt__username="glomska",
        mqtt__password_file=str(broker.password_file),
    )
    gateway.enrol(HOMES)
    publish(broker, topic(1), topic(2), topic(3), retain=True)
    assert retained(broker) == {topic(1), topic(2), topic(3)}
    return gateway


def accounted(gateway: Gateway, erasure: str) -> dict[str, str]:
    said = json.loads(gateway.call("erasures", "show", erasure, "--json"))
    return {party["party"]: party["accounted"] for party in said["parties"]}


def test_with_the_shipped_access_list_an_erasure_clears_what_is_the_customers(tmp_path: Path) -> None:
    with SecureMosquitto(users=("home",)) as broker:
        gateway = gateway_at(broker, tmp_path)
        erased = json.loads(gateway.call("erase", "-", "--yes", "--json", stdin="home/anna"))
        assert retained(broker) == {topic(3)}
        assert accounted(gateway, erased["erasure"])["broker"] == "purged"


def test_a_user_that_may_only_read_leaves_the_broker_owing_until_it_may_write(tmp_path: Path) -> None:
    with ReadOnly(users=("home",)) as broker:
        gateway = gateway_at(broker, tmp_path)
        erased = json.loads(gateway.call("erase", "-", "--yes", "--json", stdin="home/anna"))
        assert retained(broker) == {topic(1), topic(2), topic(3)}
        assert accounted(gateway, erased["erasure"])["broker"] == "waiting"
        broker.allow()
        gateway.call("erasures", "resume")
        assert retained(broker) == {topic(3)}
        assert accounted(gateway, erased["erasure"])["broker"] == "purged"
