"""The broker's part of the configuration: its keys, and what is wrong with them together or with the files they name.

mqtt = MqttSettings.model_validate({"url": "mqtts://broker"})
judge_mqtt(faults, mqtt)
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from gateway.errors import ConfigurationFault
from gateway.model.ids import Controller, DeviceId, is_identifier
from gateway.pipeline.topics import Topics
from gateway.policy.document import Faults, Table, shown
from gateway.runtime.secret import read_secret, trouble_with
from gateway.transport.ingest import Retained, Tls

FILES = ("password_file", "ca_file", "certificate_file", "key_file")
_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}

Text = Annotated[str, Field(min_length=1)]


class MqttSettings(Table):
    """Where readings come from."""

    url: str = Field(
        "mqtt://localhost:1883",
        description="The broker: `mqtts://HOST:PORT` with TLS, port 8883 when left out, or `mqtt://HOST:PORT`, 1883.",
    )
    port: int | None = Field(None, ge=1, le=65_535, description="Instead of the port in `url`, when given.")
    version: Literal["5", "3.1.1"] = Field(
        "5", description="MQTT version; `3.1.1` only where the broker knows no other: it is many times slower."
    )
    client_id: str = Field(
        "glomska-1",
        pattern=r"^[!-~]{1,128}$",
        description="Name of this gateway's session at the broker. Two gateways never share one; a new name is a new "
        "session, and what waits in the old one is not read.",
    )
    group: str = Field(
        "glomska",
        pattern=r"^[!-\"$-*,-.0-~]{1,128}$",
        description="Name of the subscription that the workers of `glomska run --workers` share, `$share/GROUP/…`; the "
        "same for gateways that share one over several machines.",
    )
    topics: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        ("glomska/{controller}/{device}/readings",),
        description="Topics of readings. `{controller}` and `{device}` each stand for one level.",
    )
    mappings: Annotated[tuple[Annotated[Path, Field(strict=False)], ...], Field(strict=False)] = Field(
        (),
        description="Files that say how messages of foreign firmware are read; their topics are subscribed to as well. "
        "`mappings/zigbee2mqtt.toml` and `mappings/tasmota.toml` come with the gateway. See docs/formats.",
    )
    connection_per: Literal["gateway", "controller"] = Field(
        "gateway",
        description="`controller`: one connection and queue for each, named `client_id`-controller, so that none holds "
        "up another; for those that are enrolled, also while it runs, and those in `controllers`.",
    )
    controllers: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        (), description="Controllers that have their connection before their first customer is enrolled."
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Whether `mqtt://` may leave this machine. Readings then cross the network unprotected.",
    )
    username: Text | None = Field(None, description="Login at the broker, when it asks for one.")
    password_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="File with the password alone, mode 0600. A line end after it is cut."
    )
    ca_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="Authorities (PEM) whose brokers are trusted, alone; without it, the system's."
    )
    certificate_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="Our certificate (PEM) for a broker that asks for one; taken up anew when it is replaced."
    )
    key_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="The certificate's key (PEM, not under a password), mode 0600."
    )
    keep_alive_s: int = Field(
        30, ge=5, le=65_535, description="A connection that is silent for longer is given up, in seconds."
    )
    session_expiry_s: int = Field(
        604_800, ge=1, le=2**32 - 1, description="How long the broker keeps messages for an absent gateway, in seconds."
    )
    receive_maximum: int = Field(
        20_000, ge=1, le=65_535, description="Messages that may be under way without acknowledgement: several batches."
    )
    gather_ms: int = Field(
        20,
        ge=1,
        le=1_000,
        description="For how long messages gather before they are read where they come at a low rate, in milliseconds: "
        "longer costs less CPU, and that much latency.",
    )
    max_payload_bytes: int = Field(
        262_144, ge=64, le=16_777_216, description="A larger message is refused as `too_large`, in bytes."
    )

    @field_validator("url")
    @classmethod
    def _is_broker(cls, url: str) -> str:
        try:
            parts = urllib.parse.urlsplit(url)
            named = bool(parts.hostname) and parts.port != 0 and parts.scheme in _MQTT_PORTS
            whole = named and f"{parts.scheme}://{parts.netloc}" == url.rstrip("/")
        except ValueError:  # a port that is no number, or too large
            whole = False
        if not whole or "@" in url:
            raise ValueError(
                "mqtts://HOST:PORT or mqtt://HOST:PORT with a port from 1 to 65535; a login goes to username and "
                "password_file"
            )
        return url

    @property
    def encrypted(self) -> bool:
        """Whether the broker is reached by TLS."""
        return self.url.startswith("mqtts://")

    def tls(self) -> Tls | None:
        """TLS as it is configured. Raises ConfigurationFault when a file cannot be used."""
        if not self.encrypted:
            return None
        return Tls(ca_file=self.ca_file, certificate_file=self.certificate_file, key_file=self.key_file)

    def retained(self, topics_of: Callable[[Controller, Sequence[DeviceId]], Sequence[str]]) -> Retained:
        """The broker, for what it retains of devices. Raises ConfigurationFault when a file cannot be used."""
        host, port = self.address
        return Retained(
            topics_of,
            host=host,
            port=port,
            client_id=self.client_id,
            username=self.username,
            password=None if self.password_file is None else read_secret(self.password_file),
            tls=self.tls(),
            version=self.version,
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the broker."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname or "", self.port or parts.port or _MQTT_PORTS[parts.scheme]


def judge_mqtt(faults: Faults, mqtt: MqttSettings) -> None:
    """Faults of keys that depend on others, or on files."""
    if not mqtt.encrypted and not mqtt.allow_plaintext and not is_loopback(mqtt.address[0]):
        allowed = "mqtts://, a broker on this machine, or allow_plaintext = true, since mqtt:// is not encrypted"
        faults.add("mqtt.url", found=shown(mqtt.url), allowed=allowed)
    try:
        Topics(mqtt.topics)
    except ConfigurationFault as fault:
        for line in str(fault).splitlines():
            faults.note("mqtt.topics", line.removeprefix("topics: "))
    if mqtt.password_file is not None:
        if mqtt.username is None:
            faults.add("mqtt.username", found="nothing", allowed="a name, since there is a password_file")
        trouble = trouble_with(mqtt.password_file)
        if trouble:
            faults.note("mqtt.password_file", trouble)
    _judge_tls(faults, mqtt)
    if mqtt.controllers and mqtt.connection_per == "gateway":
        faults.add("mqtt.controllers", found="a list", allowed='nothing, or connection_per = "controller"')
    for name in mqtt.controllers:
        if not is_identifier(name):
            faults.add("mqtt.controllers", found="what is no identifier", allowed="names of controllers, as in topics")


def _judge_tls(faults: Faults, mqtt: MqttSettings) -> None:
    for name in FILES[1:] if not mqtt.encrypted else ():
        if getattr(mqtt, name) is not None:
            faults.add(f"mqtt.{name}", found="a file", allowed="nothing, or a url that begins with mqtts://")
    if (mqtt.certificate_file is None) != (mqtt.key_file is None):
        absent = "key_file" if mqtt.key_file is None else "certificate_file"
        faults.add(f"mqtt.{absent}", found="nothing", allowed="a file: certificate and key go together")
        return
    if mqtt.key_file is not None and (trouble := trouble_with(mqtt.key_file)):
        faults.note("mqtt.key_file", trouble)
        return
    try:
        mqtt.tls()
    except ConfigurationFault as fault:
        faults.note("mqtt.url", str(fault))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
