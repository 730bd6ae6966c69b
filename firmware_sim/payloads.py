"""How each firmware generation writes a message.

    MILLIS       {"time":1767225600250,"temperature":21.50}             no content type
    UTC          {"time":"2026-01-01T00:00:00.250Z","temperature":21.50}
    OFFSET       {"time":"2026-01-01T01:00:00.250+01:00", …}            Swedish meters keep normal time all the year
    SENML        [{"bn":"urn:dev:ser:EM4-…:","bu":"Cel","bt":1767225600,"n":"temperature","v":21.50}, …]
    UNTIMED      [{"bn":"urn:dev:ser:TH4-…:","bu":"Cel","n":"temperature","v":21.50}, …]     a device without a clock
    CBOR         {"time": 1767225600250, "temperature": 21.5}           in deterministic encoding
    SENML_CBOR   [{-2: "urn:dev:ser:TH4-…:", -3: 1767225600, -4: "Cel", 0: "temperature", 2: 21.5}, …]     likewise
    ZIGBEE2MQTT  {"last_seen":"2026-01-01T00:00:00.250Z","linkquality":120,"local_temperature":21.50, …}
    TASMOTA      {"Time":"2026-01-01T01:00:00+01:00","AM2301":{"Temperature":21.50, …},"ENERGY":{…},"TempUnit":"C"}

Several readings in one message, oldest first: flat objects become a list of objects; SenML says its base time anew with
each time, and a device without a clock says how many seconds ago it was, `"bt":-900`. Foreign firmware knows no lists.

Numbers are written with the digits of their declared precision, as firmware with `printf` does. SenML and Tasmota count
whole seconds. Zigbee2MQTT is one that says `last_seen`, Tasmota one that says its offset (`SetOption52 1`), as the
mappings for both recommend. Source: RFC 8428 (SenML), RFC 3339, RFC 9039 (`urn:dev:ser`), RFC 8949 section 4.2 (CBOR);
zigbee2mqtt.io, "MQTT topics and messages"; tasmota.github.io/docs, "MQTT".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import cbor2

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
    Firmware.CBOR: "application/cbor",
    Firmware.SENML_CBOR: "application/senml+cbor",
    Firmware.ZIGBEE2MQTT: None,
    Firmware.TASMOTA: None,
}
LABELS = {"bn": -2, "bt": -3, "bu": -4, "n": 0, "u": 1, "v": 2}
"""SenML's labels in CBOR. Source: RFC 8428 table 4."""

ZIGBEE_NAMES = {"temperature": "local_temperature", "target_temperature": "occupied_heating_setpoint"}
_BASE_UNIT = "Cel"
_NUMBERS = frozenset({"bt", "v"})
_PACKS = frozenset({Firmware.SENML, Firmware.UNTIMED, Firmware.SENML_CBOR})
_WHOLE_SECONDS = frozenset({Firmware.SENML, Firmware.SENML_CBOR, Firmware.TASMOTA})
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
        time=newest - newest % 1000 if firmware in _WHOLE_SECONDS else newest,
        sender=home.client,
        content_type=CONTENT_TYPES[firmware],
        kind=Kind.UNTIMED if firmware is Firmware.UNTIMED else Kind.VALID,
    )


def encode(firmware: Firmware, device: str, log: Log) -> bytes:
    """The payload of a message; foreign firmware writes the newest readings alone."""
    if firmware in _PACKS:
        records = _records(firmware, device, log)
        return _senml_cbor(records) if firmware is Firmware.SENML_CBOR else _senml_json(records)
    if firmware is Firmware.CBOR:
        maps = [{"time": time} | {name: _number(text) for name, text in readings} for time, readings in log]
        return _packed(maps[0] if len(maps) == 1 else maps)
    if firmware is Firmware.ZIGBEE2MQTT:
        return _zigbee2mqtt(*log[-1])
    if firmware is Firmware.TASMOTA:
        return _tasmota(*log[-1])
    objects = [_flat(firmware, time, readings) for time, readings in log]
    return (objects[0] if len(objects) == 1 else f"[{','.join(objects)}]").encode()


def _flat(firmware: Firmware, time: int, readings: Readings) -> str:
    stamp = str(time) if firmware is Firmware.MILLIS else f'"{_rfc3339(firmware, time)}"'
    pairs = ",".join([f'"{quantity}":{text}' for quantity, text in readings])
    return f'{{"time":{stamp},{pairs}}}'


def _rfc3339(firmware: Firmware, time: int) -> str:
    zone = _NORMAL_TIME if firmware in {Firmware.OFFSET, Firmware.TASMOTA} else dt.UTC
    moment = dt.datetime.fromtimestamp(time // 1000, zone).replace(microsecond=time % 1000 * 1000)
    text = moment.isoformat(timespec="seconds" if firmware in _WHOLE_SECONDS else "milliseconds")
    return text.replace("+00:00", "Z")


def _records(firmware: Firmware, device: str, log: Log) -> list[dict[str, str]]:
    """A pack, its fields named as in RFC 8428, numbers as text."""
    newest = log[-1][0]
    base = {"bn": f"urn:dev:ser:{device}:", "bu": _BASE_UNIT}
    records = []
    for time, readings in log:
        if firmware is not Firmware.UNTIMED:
            base["bt"] = str(time // 1000)
        elif len(log) > 1:
            base["bt"] = str((time - newest) // 1000)
        for quantity, text in readings:
            unit = {} if UNITS[quantity] == _BASE_UNIT else {"u": UNITS[quantity]}
            records.append(base | {"n": quantity} | unit | {"v": text})
            base = {}
    return records


def _senml_json(records: list[dict[str, str]]) -> bytes:
    written = [",".join([_field(label, text) for label, text in record.items()]) for record in records]
    return f"[{{{'},{'.join(written)}}}]".encode()


def _field(label: str, text: str) -> str:
    return f'"{label}":{text}' if label in _NUMBERS else f'"{label}":"{text}"'


def _senml_cbor(records: list[dict[str, str]]) -> bytes:
    return _packed(
        [
            {LABELS[label]: _number(text) if label in _NUMBERS else text for label, text in record.items()}
            for record in records
        ]
    )


def _packed(document: object) -> bytes:
    """CBOR, deterministic: keys in order, each number in the shortest form that holds it."""
    return cbor2.dumps(document, canonical=True)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _zigbee2mqtt(time: int, readings: Readings) -> bytes:
    """Names of a radiator valve with a power meter; attributes in alphabetical order, as its state is kept."""
    said = {ZIGBEE_NAMES.get(quantity, quantity): text for quantity, text in readings}
    said |= {"last_seen": f'"{_rfc3339(Firmware.ZIGBEE2MQTT, time)}"', "linkquality": "120"}
    pairs = ",".join([f'"{name}":{said[name]}' for name in sorted(said)])
    return f"{{{pairs}}}".encode()


def _tasmota(time: int, readings: Readings) -> bytes:
    """A plug that measures power, with an AM2301 on its wire."""
    said = dict(readings)
    return (
        f'{{"Time":"{_rfc3339(Firmware.TASMOTA, time)}",'
        f'"AM2301":{{"Temperature":{said["temperature"]},"Humidity":{said["humidity"]}}},'
        f'"ENERGY":{{"TotalStartTime":"2024-01-01T00:00:00","Total":{said["energy"]},"Power":{said["power"]}}},'
        '"TempUnit":"C"}'
    ).encode()
