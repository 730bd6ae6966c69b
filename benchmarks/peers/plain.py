"""The plain pipeline: what most would write in Python, in a form that is fair to it.

paho-mqtt (MQTT 5, persistent session) receives, json decodes, HMAC-SHA-256 under one key makes a pseudonym, and
influxdb-client writes `Point`s, 5,000 at a time or after a second. Nothing is sealed, nothing is checked, one key
serves everyone, no one can be erased, and a message is acknowledged before it is stored: it does less than the gateway.

Spared to make it faster: no `logging`, no threads, no retries, acknowledgement by paho itself, nanoseconds computed
from integers instead of datetime, `SYNCHRONOUS` writes (its batching mode adds a scheduler and a queue).
"""

from __future__ import annotations

import argparse
import hmac
import json
import signal
import sys
import time
from types import FrameType

import paho.mqtt.client as paho
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks import messages

BATCH = 5000
FLUSH_SECONDS = 1.0
KEY = bytes(range(32))
MEASUREMENT = "telemetry"


class Pipeline:
    """Messages in, points out."""

    def __init__(self, port: int, store_url: str) -> None:
        """Connects to the store at once, to the broker in `run`."""
        self._port = port
        self._store = InfluxDBClient(url=store_url, token="-", org="-", timeout=60_000)  # noqa: S106 - it has none
        self._write = self._store.write_api(write_options=SYNCHRONOUS)
        self._points: list[Point] = []
        self._due = time.monotonic() + FLUSH_SECONDS
        self._stored = 0
        self._running = True
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-plain", protocol=paho.MQTTv5)
        self._client.on_message = self._take
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._ready

    def run(self) -> None:
        """Until SIGTERM; then write what is left."""
        signal.signal(signal.SIGTERM, self._stop)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 65535
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        while self._running:
            self._client.loop(timeout=0.1)
            if time.monotonic() >= self._due:
                self._flush()
        self._flush()
        self._client.disconnect()
        self._store.close()  # type: ignore[no-untyped-call]
        _say("stopped", stored=self._stored)

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        device = message.topic.split("/")[2]
        reading = json.loads(message.payload)
        pseudonym = hmac.digest(KEY, device.encode(), "sha256").hex()[:32]
        self._points.append(
            Point(MEASUREMENT)  # type: ignore[no-untyped-call]
            .tag("series", pseudonym)
            .field("temperature", reading["temperature"])
            .field("humidity", reading["humidity"])
            .field("power", float(reading["power"]))
            .field("energy", reading["energy"])
            .time(reading["time"] * 1_000_000, WritePrecision.NS)
        )
        if len(self._points) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._points:
            self._write.write(bucket="glomska", record=self._points)
            self._stored += len(self._points)
            self._points = []
        self._due = time.monotonic() + FLUSH_SECONDS

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe(messages.FILTER, qos=1)

    def _ready(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if any(code.is_failure for code in codes):
            message = "the broker refused the subscription"
            raise ConnectionError(message)
        _say("ready")

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._running = False


def _say(event: str, **more: int) -> None:
    print(json.dumps({"event": event, **more}), file=sys.stderr, flush=True)


def main() -> None:
    """Run until SIGTERM."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.peers.plain")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--store", required=True)
    given = options.parse_args()
    Pipeline(given.port, given.store).run()


if __name__ == "__main__":
    main()
