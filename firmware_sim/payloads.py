"""How each firmware generation writes a message.

    MILLIS   {"time":1767225600250,"temperature":21.50}             no content type
    UTC      {"time":"2026-01-01T00:00:00.250Z","temperature":21.50}
    OFFSET   {"time":"2026-01-01T01:00:00.250+01:00", …}            Swedish meters keep normal time all the year
    SENML    [{"bn":"urn:dev:ser:EM4-…:","bt":1767225600,"bu":"Cel","n":"temperature","v":21.50}, …]
    UNTIMED  [{"bn":"urn:dev:ser:TH4-…:","bu":"Cel","n":"temperature","v":21.50}, …]     a device without a clock

Several readings in one message, oldest first: flat objects become a list of objects; SenML says `bt` anew with each
time, and a device without a clock says how many seconds ago it was, `"bt":-900`.

Numbers are written with the digits of their declared precision, as firmware with `printf` does. SENML counts whole
seconds. Source: RFC 8428 (SenML), RFC 3339, RFC 9039 (`urn:dev:ser`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from firmware_sim.fleet import Firmware, Home, Kind, Message

UNITS = {
    "temperature": "Cel",
    "target_temperature": "Cel",
    "humidity": "%RH",
    "power": "W",
    "energy": "kWh",
    "outdoor_temperature": "Cel",
    "battery": "%",
}
CONTENT_TYPES = {
    Firmware.MILLIS: None,
    Firmware.UTC: "application/json",
    Firmware.OFFSET: "application/json",
    Firmware.SENML: "application/senml+json",
    Firmware.UNTIMED: "application/senml+json",
}
_BASE_UNIT = "Cel"
_PACKS = frozenset({Firmware.SENML, Firmware.UNTIMED})
_NORMAL_TIME = dt.timezone(dt.timedelta(hours=1))

Readings = Sequence[tuple[str, str]]
"""(quantity, number as text), in the order in which they are written."""

Log = Sequence[tuple[int, Readings]]
"""(event time in Unix ms, readings) of one message, oldest first; one at least."""


def message(home: Home, time: int, readings: Readings) -> Message:
    """What `home` publishes about `time` (Unix ms)."""
    return log_message(home, [(time, readings)])


def log_message(home: Home, log: Log) -> Message:
    """What `home` publishes about several times at once."""
    firmware, newest = home.firmware, log[-1][0]
    return Message(
        topic=home.topic,
        payload=encode(firmware, home.device, log),
        time=newest - newest % 1000 if firmware is Firmware.SENML else newest,
        sender=home.client,
        content_type=CONTENT_TYPES[firmware],
        kind=Kind.UNTIMED if firmware is Firmware.UNTIMED else Kind.VALID,
    )


def encode(firmware: Firmware, device: str, log: Log) -> bytes:
    """The payload of a message."""
    if firmware in _PACKS:
        return _senml(firmware, device, log)
    objects = [_flat(firmware, time, readings) for time, readings in log]
    return (objects[0] if len(objects) == 1 else f"[{','.join(objects)}]").encode()


def _flat(firmware: Firmware, time: int, readings: Readings) -> str:
    stamp = str(time) if firmware is Firmware.MILLIS else f'"{_rfc3339(firmware, time)}"'
    pairs = ",".join([f'"{quantity}":{text}' for quantity, text in readings])
    return f'{{"time":{stamp},{pairs}}}'


def _rfc3339(firmware: Firmware, time: int) -> str:
    zone = dt.UTC if firmware is Firmware.UTC else _NORMAL_TIME
    moment = dt.datetime.fromtimestamp(time // 1000, zone).replace(microsecond=time % 1000 * 1000)
    text = moment.isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z" if firmware is Firmware.UTC else text


def _senml(firmware: Firmware, device: str, log: Log) -> bytes:
    base = f'"bn":"urn:dev:ser:{device}:",'
    unit = f'"bu":"{_BASE_UNIT}",'
    newest = log[-1][0]
    records = []
    for time, readings in log:
        if firmware is Firmware.SENML:
            base += f'"bt":{time // 1000},'
        elif len(log) > 1:
            base += f'"bt":{(time - newest) // 1000},'
        for quantity, text in readings:
            said = "" if UNITS[quantity] == _BASE_UNIT else f'"u":"{UNITS[quantity]}",'
            records.append(f'{{{base}{unit}"n":"{quantity}",{said}"v":{text}}}')
            base = unit = ""
    return f"[{','.join(records)}]".encode()
