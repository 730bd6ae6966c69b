"""A subscriber that keeps what a broker delivers, and a broker with a configuration of its own."""

from __future__ import annotations

import threading

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.servers import Mosquitto

Heard = tuple[str, bytes, str | None]


class Witness:
    """Hears everything under `glomska/` at QoS 1: (topic, payload, content type) in the order of arrival."""

    def __init__(self, port: int) -> None:
        self._heard: list[Heard] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("glomska/#", qos=1)
        assert self._ready.wait(60)

    def wait_for(self, count: int) -> list[Heard]:
        """What it has heard once that is `count` messages; fewer when they do not come for a long time."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._heard) >= count, timeout=60)
            return list(self._heard)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            kind = getattr(message.properties, "ContentType", None)
            self._heard.append((message.topic, bytes(message.payload), kind))
            self._changed.notify_all()


class ConfiguredMosquitto(Mosquitto):
    """Mosquitto with `lines` behind its usual configuration; `{directory}` in them is its own."""

    def __init__(self, lines: str) -> None:
        super().__init__()
        self._lines = lines

    def arguments(self) -> list[str]:
        command = super().arguments()
        with (self.directory / "mosquitto.conf").open("a") as file:
            file.write(self._lines.format(directory=self.directory))
        return command
