"""Mapping files to mappings: how messages of foreign firmware are read. Every fault of every file at once.

A file maps one topic pattern; `config/mappings` has those for Zigbee2MQTT and Tasmota. Its form, in docs/formats.

    >>> from gateway.policy.load import load_policy
    >>> from gateway.runtime.config import resource
    >>> policy = load_policy(resource("policy.toml"))
    >>> load_mappings([resource("mappings/tasmota.toml")], policy, topics=())[0].pattern.filter
    'tele/+/SENSOR'
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.errors import ConfigurationFault
from gateway.model.ids import Controller, is_identifier
from gateway.pipeline.mapped import Clock, Mapping, Pointer, Scale, TimeFormat, Wanted, pointer
from gateway.pipeline.topics import TopicPattern
from gateway.policy.document import Faults, Table, read_toml, shown
from gateway.policy.rules import Policy

Texts = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class _Top(Table):
    topic: str
    controller: str | None = None
    time: dict[str, Any] | None = None
    quantity: dict[str, Any]


class _Time(Table):
    at: str
    formats: Texts
    zone: str | None = None
    missing: Literal["refuse", "arrival"] = "refuse"


class _Scale(Table):
    zero: float = 0.0
    factor: float = 1.0


class _Quantity(Table):
    at: Texts
    unit: str
    zero: float = 0.0
    factor: float = 1.0
    unit_at: str | None = None
    units: dict[str, Any] | None = None


def load_mappings(files: Sequence[Path], policy: Policy, topics: Sequence[str]) -> tuple[Mapping, ...]:
    """The mappings in `files`. `topics` are the valid patterns of messages in formats of our own.

    Raises ConfigurationFault with every fault of all files, or with the first file that cannot be read at all.
    """
    reader = _Reader(policy)
    taken = [(f"topic {topic!r} of the configuration", TopicPattern(topic)) for topic in topics]
    found = []
    for file in files:
        mapping = reader.read(file)
        if mapping is None:
            continue
        for other, pattern in taken:
            if pattern.overlaps(mapping.pattern):
                reader.faults.add(
                    "topic", found=f"what {other} matches too", allowed="topics that nothing else matches"
                )
        taken.append((f"mapping {file}", mapping.pattern))
        found.append(mapping)
    reader.faults.settle(ConfigurationFault)
    return tuple(found)


class _Reader:
    """One file after the other, with one list of faults."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._file = Path()
        self.faults = Faults("", origin=lambda _: str(self._file))

    def read(self, file: Path) -> Mapping | None:
        """The mapping in `file`, or None when it has faults of its own."""
        self._file = file
        document = read_toml(file, ConfigurationFault)
        top = self.faults.salvage(_Top, (), document, topic="{controller}/{device}", quantity={})
        pattern = self._pattern(top)
        clock = None if top.time is None else self._clock(top.time)
        wanted = [self._wanted(name, value) for name, value in top.quantity.items()]
        if not wanted:
            self.faults.add("quantity", found="no quantity", allowed="at least one, as [quantity.NAME]")
        if pattern is None or None in wanted or (clock is None and top.time is not None):
            return None
        return Mapping(pattern=pattern, wanted=tuple(filter(None, wanted)), clock=clock)

    def _pattern(self, top: _Top) -> TopicPattern | None:
        controller = top.controller
        if controller is not None and not is_identifier(controller):
            self.faults.add("controller", found=shown(controller), allowed="a name that can be a level of a topic")
            return None
        if controller is None and "{controller}" not in top.topic.split("/"):
            self.faults.add(
                "controller", found="nothing", allowed="whose devices these are, since the topic says it not"
            )
            return None
        try:
            return TopicPattern(top.topic, None if controller is None else Controller(controller))
        except ConfigurationFault as fault:
            for line in str(fault).splitlines():
                self.faults.note("topic", line.removeprefix("topics: "))
            return None

    def _clock(self, value: dict[str, Any]) -> Clock | None:
        table = self.faults.salvage(_Time, ("time",), value, at="/time", formats=("rfc3339",))
        at = self._pointer("time.at", table.at)
        formats = self._formats(table.formats)
        zone = self._zone(table.zone, needed=TimeFormat.LOCAL in table.formats)
        if at is None or not formats or zone is None:
            return None
        return Clock(at=at, formats=formats, zone=zone, required=table.missing == "refuse")

    def _formats(self, names: Sequence[str]) -> tuple[TimeFormat, ...]:
        """In the given order; none when there is a fault."""
        known = list(TimeFormat)
        faulty = [name for name in names if name not in known]
        for name in faulty:
            self.faults.add("time.formats", found=shown(name), allowed=", ".join(f'"{k}"' for k in known))
        if {TimeFormat.UNIX_S, TimeFormat.UNIX_MS} <= set(names):
            allowed = "one of them, since a number does not tell which it is"
            self.faults.add("time.formats", found='"unix_s" and "unix_ms"', allowed=allowed)
            return ()
        return () if faulty else tuple(map(TimeFormat, names))

    def _zone(self, name: str | None, *, needed: bool) -> zoneinfo.ZoneInfo | None:
        if name is None:
            if not needed:
                return zoneinfo.ZoneInfo("UTC")
            self.faults.add("time.zone", found="nothing", allowed='a zone such as "Europe/Stockholm", for local times')
            return None
        try:
            return zoneinfo.ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # not found, a directory, no name of a file
            self.faults.add("time.zone", found=shown(name), allowed='an IANA time zone such as "Europe/Stockholm"')
            return None

    def _wanted(self, name: str, value: object) -> Wanted | None:
        key = f"quantity.{name}"
        quantity = self._policy.by_name.get(name)
        if quantity is None:
            self.faults.add(key, found="no quantity of the policy", allowed=", ".join(self._policy.by_name))
        table = self.faults.salvage(_Quantity, ("quantity", name), value, at=("/value",), unit="")
        at = [self._pointer(f"{key}.at", text) for text in table.at]
        unit_at = None if table.unit_at is None else self._pointer(f"{key}.unit_at", table.unit_at)
        units = self._units(key, table)
        scale = self._scale(key, _Scale(zero=table.zero, factor=table.factor))
        if quantity is not None and table.unit != quantity.unit:
            allowed = f'"{quantity.unit}", the policy\'s unit; zero and factor, or units, convert into it'
            self.faults.add(f"{key}.unit", found=shown(table.unit), allowed=allowed)
            return None
        if quantity is None or None in at or (unit_at is None) != (table.unit_at is None) or None in units.values():
            return None
        return Wanted(
            number=quantity.number,
            at=tuple(path for path in at if path is not None),
            scale=scale,
            unit_at=unit_at,
            units={told: one for told, one in units.items() if one is not None},
        )

    def _units(self, key: str, table: _Quantity) -> dict[str, Scale | None]:
        """The unit names that a message can tell, each with its scale or, after its faults were added, None."""
        if (table.units is None) != (table.unit_at is None):
            given, missing = ("units", "unit_at") if table.unit_at is None else ("unit_at", "units")
            self.faults.add(f"{key}.{missing}", found="nothing", allowed=f"a value, since {given} is given")
        if table.units is not None and {"zero", "factor"} & table.model_fields_set:
            self.faults.add(f"{key}.units", found="units beside zero or factor", allowed="zero and factor of each unit")
        units: dict[str, Scale | None] = {}
        for told, value in (table.units or {}).items():
            scale = self.faults.parse(_Scale, ("quantity", key.partition(".")[2], "units", told), value)
            units[told] = None if scale is None else self._scale(f"{key}.units.{told}", scale)
        return units

    def _scale(self, key: str, scale: _Scale) -> Scale:
        if scale.factor == 0:
            self.faults.add(f"{key}.factor", found="0", allowed="another number, or every reading would be 0")
        return Scale(scale.zero, scale.factor)

    def _pointer(self, key: str, text: str) -> Pointer | None:
        try:
            return pointer(text)
        except ValueError as error:
            self.faults.add(key, found=shown(text), allowed=str(error))
            return None
