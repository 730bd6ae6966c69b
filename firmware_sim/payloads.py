"""How each firmware generation writes a message.

    MILLIS   {"time":1767225600250,"temperature":21.50}             no content type
    UTC      {"time":"2026-01-01T00:00:00.250Z","temperature":21.50}
    OFFSET   {"time":"2026-01-01T01:00:00.250+01:00", …}            Swedish meters keep normal time all the year
    SENML    [{"bn":"urn:dev:ser:EM4-…:","bt":1767225600,"bu":"Cel","n":"temperature","v":21.50}, …]

Numbers are written with the digits of their declared precision, as firmware with `printf` does. SENML counts whole
seconds. Source: RFC 8428 (SenML), RFC 3339, RFC 9039 (`urn:dev:ser`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from firmware_sim.fleet import Firmware, Home, Message

UNITS = {
    "temperature": "Cel",
    "target_temperature": "Cel",
    "humidity": "%RH",
    "power": "W",
    "energy": "kWh",
    "outdoor_temperature": "Cel",
}
CONTENT_TYPES = {
    Firmware.MILLIS: None,
    Firmware.UTC: "application/json",
    Firmware.OFFSET: "application/json",
    Firmware.SENML: "application/senml+json",
}
_BASE_UNIT = "Cel"
_NORMAL_TIME = dt.timezone(dt.timedelta(hours=1))

Readings = Sequence[tuple[str, str]]
"""(quantity, number as text), in the order in which they are written."""


def message(home: Home, time: int, readings: Readings) -> Message:
    """What `home` publishes about `time` (Unix ms)."""
    if home.firmware is Firmware.SENML:
        time -= time % 1000
    payload = encode(home.firmware, home.device, time, readings)
    return Message(topic=home.topic, payload=payload, time=time, content_type=CONTENT_TYPES[home.firmware])


def encode(firmware: Firmware, device: str, time: int, readings: Readings) -> bytes:
    """The payload for an event time in Unix ms."""
    if firmware is Firmware.SENML:
        return _senml(device, time, readings)
    stamp = str(time) if firmware is Firmware.MILLIS else f'"{_rfc3339(firmware, time)}"'
    pairs = ",".join([f'"{quantity}":{text}' for quantity, text in readings])
    return f'{{"time":{stamp},{pairs}}}'.encode()


def _rfc3339(firmware: Firmware, time: int) -> str:
    zone = dt.UTC if firmware is Firmware.UTC else _NORMAL_TIME
    moment = dt.datetime.fromtimestamp(time // 1000, zone).replace(microsecond=time % 1000 * 1000)
    text = moment.isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z" if firmware is Firmware.UTC else text


def _senml(device: str, time: int, readings: Readings) -> bytes:
    records = ",".join(
        f'{{"n":"{quantity}","v":{text}}}'
        if UNITS[quantity] == _BASE_UNIT
        else f'{{"n":"{quantity}","u":"{UNITS[quantity]}","v":{text}}}'
        for quantity, text in readings
    )
    base = f'"bn":"urn:dev:ser:{device}:","bt":{time // 1000},"bu":"{_BASE_UNIT}",'
    return f"[{{{base}{records[1:]}]".encode()
