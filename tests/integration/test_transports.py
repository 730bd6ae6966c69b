"""TLS at a real Mosquitto with the configuration that is shipped: who is trusted, who is let in, and what is said."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.certificates import Authority
from benchmarks.servers import Mosquitto, SecureMosquitto
from firmware_sim.connection import Broker as Fleet
from firmware_sim.errors import Unreachable as FleetUnreachable
from firmware_sim.fleet import Message
from firmware_sim.login import Login
from firmware_sim.publish import publish as fleet_publish
from gateway.clock import SystemClock
from gateway.errors import Unreachable
from gateway.transport.ingest import Session, Tls
from gateway.transport.ingest import session as session_module
from tests.fronts import Guarded

PATIENCE_S = 120.0
TOPIC = "glomska/demo/thermostat-1/readings"
Opening = Callable[..., contextlib.AbstractContextManager[Session]]


@pytest.fixture(params=["5", "3.1.1"])
def session(request: pytest.FixtureRequest) -> Opening:
    return functools.partial(opening, version=request.param)


@contextlib.contextmanager
def opening(broker: Mosquitto, *, states: list[str] | None = None, **changes: Any) -> Iterator[Session]:  # noqa: ANN401
    """Not connected yet; as the user `glomska` unless told otherwise."""
    terms: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": broker.port,
        "client_id": "glomska-test",
        "filters": ["glomska/+/+/readings"],
        "receive_maximum": 5000,
        "keep_alive_s": 30,
        "session_expiry_s": 600,
        "max_packet_bytes": 65_536,
        "clock": SystemClock(),
        "on_state": (states if states is not None else []).append,
    }
    if isinstance(broker, SecureMosquitto):
        terms |= {"username": "glomska", "password": broker.PASSWORD.encode(), "tls": Tls(ca_file=broker.authority.ca)}
    made = Session(**(terms | changes))
    try:
        yield made
    finally:
        made.close()


def publish(broker: SecureMosquitto, *payloads: bytes, topic: str = TOPIC) -> None:
    """As the devices of the controller `demo`; returns when the broker has acknowledged all of them."""
    login = Login(username="demo", password_file=broker.password_file, ca_file=broker.authority.ca)
    sent = [Message(topic=topic, payload=payload, time=0) for payload in payloads]
    tally = fleet_publish(sent, Fleet.at(broker.url, login=login))
    assert (tally.deliveries + tally.rejected, tally.unacknowledged) == (len(payloads), 0)


def received(made: Session, count: int) -> list[bytes]:
    """The next payloads, acknowledged; `count` at least."""
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} came"
        if delivery := made.receive(0.1):
            found += [arrival.payload for arrival in delivery.arrivals]
            made.acknowledge(delivery.generation, delivery.tokens)
    return found


@pytest.fixture
def broker() -> Iterator[SecureMosquitto]:
    with SecureMosquitto() as running:
        yield running


def test_messages_of_all_sizes_arrive_once_and_in_order(broker: SecureMosquitto, session: Opening) -> None:
    sizes = [1, 100, 16_000, 16_384, 16_385, 40_000, 65_000] * 40
    sent = [number.to_bytes(2) + bytes(size) for number, size in enumerate(sizes)]
    with session(broker) as made:
        made.connect()
        publish(broker, *sent)
        assert received(made, len(sent)) == sent
    with session(broker) as again:
        again.connect()
        publish(broker, b"marker")
        assert received(again, 1) == [b"marker"]


def test_a_certificate_is_a_login(broker: SecureMosquitto, session: Opening) -> None:
    own = broker.authority.issue("glomska")
    tls = Tls(ca_file=broker.authority.ca, certificate_file=own.certificate, key_file=own.key)
    with session(broker, port=broker.mtls_port, username=None, password=None, tls=tls) as made:
        made.connect()
        publish(broker, b"to whom the certificate names")
        assert received(made, 1) == [b"to whom the certificate names"]


def test_one_controllers_devices_cannot_write_into_anothers_topics(broker: SecureMosquitto, session: Opening) -> None:
    with session(broker) as made:
        made.connect()
        publish(broker, b"stray", topic="glomska/other/thermostat-1/readings")
        publish(broker, b"own")
        assert received(made, 1) == [b"own"]


def test_two_threads_read_and_acknowledge_under_load(broker: SecureMosquitto, session: Opening) -> None:
    sent = [str(number).encode() for number in range(5_000)]
    with session(broker) as made:
        made.connect()
        publisher = threading.Thread(target=publish, args=(broker, *sent))
        publisher.start()
        found: list[bytes] = []
        acknowledging = []
        while len(found) < len(sent):
            if delivery := made.receive(1.0):
                found += [arrival.payload for arrival in delivery.arrivals]
                acknowledging.append(
                    threading.Thread(target=made.acknowledge, args=(delivery.generation, delivery.tokens))
                )
                acknowledging[-1].start()
        for thread in (publisher, *acknowledging):
            thread.join(PATIENCE_S)
        assert found == sent
        assert made.generation == 1


Wrong = Callable[[SecureMosquitto, Path], dict[str, Any]]


def unknown_authority(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    return {"tls": Tls(ca_file=Authority(directory, "other").ca)}


def authority_of_the_same_name(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    return {"tls": Tls(ca_file=Authority(directory).ca)}


def no_certificate(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    return {"port": broker.mtls_port}


def certificate_of_another(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    own = Authority(directory, "other").issue("glomska")
    tls = Tls(ca_file=broker.authority.ca, certificate_file=own.certificate, key_file=own.key)
    return {"port": broker.mtls_port, "tls": tls}


def expired_certificate(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    own = broker.authority.issue("glomska", days=-1)
    tls = Tls(ca_file=broker.authority.ca, certificate_file=own.certificate, key_file=own.key)
    return {"port": broker.mtls_port, "tls": tls}


def wrong_password(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    return {"password": b"wrong horse"}


def no_login(broker: SecureMosquitto, directory: Path) -> dict[str, Any]:
    return {"username": None, "password": None}


@pytest.mark.parametrize(
    ("wrong", "told", "hint"),
    [
        (unknown_authority, "its certificate is of an authority unknown here", "mqtt.ca_file"),
        (authority_of_the_same_name, "its certificate is of an authority unknown here", "mqtt.ca_file"),
        (no_certificate, "the broker refuses our certificate: certificate required", "certificate_file and key_file"),
        (certificate_of_another, "the broker refuses our certificate: unknown ca", "certificate_file and key_file"),
        (expired_certificate, "the broker refuses our certificate: certificate expired", "have not expired"),
        (wrong_password, "refuses the connection: not_authorized", "password_file"),
        (no_login, "refuses the connection: not_authorized", "username"),
    ],
)
def test_whoever_is_not_let_in_is_told_why_and_what_to_do(
    broker: SecureMosquitto, tmp_path: Path, wrong: Wrong, told: str, hint: str, session: Opening
) -> None:
    with session(broker, **wrong(broker, tmp_path)) as made, pytest.raises(Unreachable) as caught:
        made.connect()
    assert str(caught.value).startswith("mqtt broker at 127.0.0.1:")
    assert "horse" not in str(caught.value)
    if str(caught.value).endswith("it ended the TLS handshake"):  # paho may write into the end before it reads why
        assert made._terms.version == "3.1.1"
        assert "it may want a certificate" in caught.value.hint
    else:
        assert str(caught.value).endswith(told)
        assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({"days": -1}, "its certificate has expired"),
        ({"host": "elsewhere.invalid"}, "its certificate is for another host"),
        ({"host": "127.0.0.2"}, "its certificate is for another host"),
    ],
)
def test_a_broker_whose_certificate_does_not_hold_is_not_spoken_to(
    server: dict[str, Any], told: str, session: Opening
) -> None:
    with SecureMosquitto(**server) as broker, session(broker) as made, pytest.raises(Unreachable) as caught:
        made.connect()
    assert str(caught.value) == f"mqtt broker at 127.0.0.1:{broker.port}: {told}"
    assert caught.value.exit_code == 4


def test_a_broker_without_tls_is_not_spoken_to_in_the_clear(broker: SecureMosquitto, session: Opening) -> None:
    with Mosquitto() as plain, session(plain, tls=Tls(ca_file=broker.authority.ca)) as made:
        with pytest.raises(Unreachable) as caught:
            made.connect()
        assert str(caught.value).endswith(": it ended the TLS handshake")
        assert "speak no TLS here" in caught.value.hint


def test_certificates_that_are_replaced_are_used_at_once_and_half_of_a_renewal_is_not(
    broker: SecureMosquitto, monkeypatch: pytest.MonkeyPatch, session: Opening
) -> None:
    monkeypatch.setattr(session_module, "FILES_S", 0.0)
    own = broker.authority.issue("glomska")
    tls = Tls(ca_file=broker.authority.ca, certificate_file=own.certificate, key_file=own.key)
    states: list[str] = []
    with session(broker, states=states, port=broker.mtls_port, username=None, password=None, tls=tls) as made:
        made.connect()
        publish(broker, b"before")
        assert received(made, 1) == [b"before"]
        old_key = own.key.read_bytes()
        broker.authority.issue("glomska")
        new_key = own.key.read_bytes()
        own.key.write_bytes(old_key)
        made.receive(0.1)
        (state,) = states[1:]
        assert state.startswith("certificates not taken up: certificate_file with key_file ")
        assert state.endswith(": this is not the key of this certificate")
        publish(broker, b"meanwhile")
        assert received(made, 1) == [b"meanwhile"]
        own.key.write_bytes(new_key)
        publish(broker, b"after")
        assert received(made, 1) == [b"after"]
        assert states[2:] == ["certificates replaced: connecting again", "connected"]
        assert made.counters.session_lost == 0


def test_a_certificate_that_expired_while_connected_is_mended_on_disk(
    broker: SecureMosquitto, monkeypatch: pytest.MonkeyPatch, session: Opening
) -> None:
    """A restart ends the connection; with the expired certificate there is no other, with a new one there is."""
    monkeypatch.setattr(session_module, "FIRST_BACK_OFF_S", 0.02)
    own = broker.authority.issue("glomska")
    tls = Tls(ca_file=broker.authority.ca, certificate_file=own.certificate, key_file=own.key)
    states: list[str] = []
    with session(broker, states=states, port=broker.mtls_port, username=None, password=None, tls=tls) as made:
        made.connect()
        broker.authority.issue("glomska", days=-1)
        broker.restart()
        deadline = time.monotonic() + PATIENCE_S
        while not any("certificate expired" in state for state in states):
            assert time.monotonic() < deadline, states
            made.receive(0.05)
        broker.authority.issue("glomska")
        monkeypatch.setattr(session_module, "FILES_S", 0.0)
        made._look_at = 0
        publish(broker, b"after")
        assert received(made, 1) == [b"after"]


def test_the_fleet_trusts_no_broker_of_another_authority_and_can_log_in_by_certificate(
    broker: SecureMosquitto, tmp_path: Path, session: Opening
) -> None:
    with pytest.raises(FleetUnreachable, match="is not to be trusted: "):
        fleet_publish([], Fleet.at(broker.url, login=Login(ca_file=Authority(tmp_path, "other").ca)))
    own = broker.authority.issue("demo")
    login = Login(ca_file=broker.authority.ca, certificate_file=own.certificate, key_file=own.key)
    with session(broker) as made:
        made.connect()
        fleet_publish([Message(topic=TOPIC, payload=b"1", time=0)], Fleet.at(broker.mtls_url, login=login))
        assert received(made, 1) == [b"1"]


def test_a_subscription_that_the_broker_forbids_is_a_clear_error(session: Opening) -> None:
    with Guarded() as broker, session(broker) as made, pytest.raises(Unreachable) as caught:
        made.connect()
    text = f"mqtt broker at 127.0.0.1:{broker.port} refuses the subscription with QoS 1: "
    assert str(caught.value).removeprefix(text) in {"not_authorized", "unspecified_error"}
    assert "mqtt.topics" in caught.value.hint
