"""What a message costs by transport: `python -m benchmarks.transports [--messages N] [--json]`.

For each transport a Mosquitto holds the same messages for an absent session, which then takes and acknowledges them:
µs of CPU a message in this process, everything from the socket to the arrival and its PUBACK, without decoding. The
transports take turns, and the best of the rounds counts: what the code takes when nobody disturbs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from benchmarks.servers import Mosquitto, SecureMosquitto
from firmware_sim.connection import Broker
from firmware_sim.fleet import Message
from firmware_sim.login import Login
from firmware_sim.publish import publish
from gateway.clock import SystemClock
from gateway.transport.ingest import Session, Tls

ROUNDS = 3
PATIENCE_S = 120.0
VERSIONS = ("5", "3.1.1")
TOPIC = "glomska/demo/thermostat-{}/readings"
PAYLOAD = (
    '{{"time":{},"temperature":20.5,"setpoint":21.0,"humidity":40.5,"energy":12345.678,"power":1234.5,"battery":90}}'
)


def measure(count: int) -> dict[str, float]:
    """Transport -> µs of CPU a message."""
    sent = [Message(topic=TOPIC.format(i % 100), payload=PAYLOAD.format(i).encode(), time=0) for i in range(count)]
    best: dict[str, float] = {}
    with Mosquitto() as plain, SecureMosquitto() as secure:
        login = Login(username="demo", password_file=secure.password_file, ca_file=secure.authority.ca)
        tls = Tls(ca_file=secure.authority.ca)
        sides: list[tuple[str, Broker, Mosquitto, Tls | None]] = [
            ("", Broker.at(plain.url), plain, None),
            (", TLS", Broker.at(secure.url, login=login), secure, tls),
        ]
        for _ in range(ROUNDS):
            for name, fleet, broker, trust in sides:
                for version in VERSIONS:
                    subscribed = _session(broker, version, trust)
                    subscribed.connect()
                    subscribed.close()
                publish(sent, fleet)
                for version in VERSIONS:
                    cost = _drained(_session(broker, version, trust), count)
                    way = f"MQTT {version}{name}"
                    best[way] = min(cost, best.get(way, cost))
    return best


def _session(broker: Mosquitto, version: str, tls: Tls | None = None) -> Session:
    return Session(
        "127.0.0.1",
        broker.port,
        f"benchmark-{version}",
        ["glomska/+/+/readings"],
        receive_maximum=20_000,
        keep_alive_s=30,
        session_expiry_s=600,
        max_packet_bytes=262_144,
        clock=SystemClock(),
        on_state=lambda _: None,
        username=None if tls is None else "glomska",
        password=None if tls is None else SecureMosquitto.PASSWORD.encode(),
        tls=tls,
        version=version,
    )


def _drained(session: Session, count: int) -> float:
    """µs of CPU a message, for all that waits."""
    begun, taken, deadline = time.process_time(), 0, time.monotonic() + PATIENCE_S
    session.connect()
    while taken < count:
        assert time.monotonic() < deadline, f"{count - taken} messages did not come"
        if delivery := session.receive(1.0):
            taken += len(delivery.tokens)
            session.acknowledge(delivery.generation, delivery.tokens)
    spent = time.process_time() - begun
    session.close()
    assert taken == count, "more came than was sent"
    return spent / count * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.messages)
    if arguments.json:
        sys.stdout.write(json.dumps({name: round(cost, 2) for name, cost in found.items()}) + "\n")
        return
    for name, cost in found.items():
        print(f"{name:16} {cost:6.2f} us a message, {cost / found['MQTT 5']:.1f} x MQTT 5")


if __name__ == "__main__":
    main()
