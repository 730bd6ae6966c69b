r"""What the columns of a source mean: a TOML file to one frozen tree, read once; every fault at once.

    [[csv]]
    files = '(?P<device>meter-\d+)\.csv(\.gz)?'     # whole file name; the group is the device, unless a column is
    controller = "heat-co"                         # or controller_column = "…"
    time = { column = "start", zone = "Europe/Stockholm", offset_s = 3600 }
    [csv.quantity.energy]
    column = "kWh"
    unit = "kWh"                                   # after `factor`; must be the policy's
    sum = true                                     # the column says what was used: count it up

    [[influxdb]]
    measurement = "thermostats"
    controller = "heat-co"
    device_tag = "device"
    where = { room = "hall" }
    [influxdb.quantity.temperature]
    field = "temp"
    unit = "Cel"

A fault is shown by its key. What a source calls a device or a customer is never shown.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.errors import ConfigurationFault
from gateway.model.ids import is_identifier
from gateway.policy.document import Faults, Table, read_toml
from gateway.policy.rules import Policy

FORMATS = ("iso", "unix_s", "unix_ms")
_ZONELESS = frozenset({"unix_s", "unix_ms"})
KINDS = ("csv", "influxdb")


class MappingFault(ConfigurationFault):
    """The mapping is wrong; every fault found is in the message."""

    code = "mapping"
    hint = "correct the named keys of the mapping; docs/formats/history.md has them all"


class TimeColumn(Table):
    """Where the time is. `zone` is that of times which do not say theirs; `offset_s` is added to each."""

    column: str
    format: str = "iso"
    zone: str | None = None
    offset_s: int = 0
    ambiguous: Literal["refuse", "order"] = "refuse"


class Quantity(Table):
    """One quantity of the policy: number in the column x `factor`, in `unit`. With `sum`, the total so far."""

    column: str
    unit: str
    factor: float = 1.0
    sum: bool = False


class _Field(Table):
    field: str
    unit: str
    factor: float = 1.0


class _Csv(Table):
    files: str
    controller: str | None = None
    controller_column: str | None = None
    device_column: str | None = None
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    time: dict[str, Any]
    quantity: dict[str, Any]


class _Influxdb(Table):
    measurement: str
    controller: str | None = None
    controller_tag: str | None = None
    device_tag: str
    where: dict[str, Any] | None = None
    ignore: list[str] | None = None
    quantity: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvKind:
    """One kind of file. Device and controller are named by a column, or by `files` and `controller`."""

    files: re.Pattern[str] = field(repr=False)
    controller: str
    controller_column: str | None
    device_column: str | None
    delimiter: str
    decimal: str
    encoding: str
    time: TimeColumn
    quantities: Mapping[str, Quantity]

    @property
    def columns(self) -> set[str]:
        """All columns that a file of this kind must have."""
        named = {self.controller_column, self.device_column} - {None}
        return {self.time.column, *(q.column for q in self.quantities.values()), *named}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxKind:
    """One measurement, or the part of it that has the tags in `where`. `quantities` holds fields as columns."""

    measurement: str
    controller: str
    controller_tag: str | None
    device_tag: str
    where: Mapping[str, str] = field(repr=False)
    ignore: frozenset[str]
    quantities: Mapping[str, Quantity]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryMapping:
    """A whole mapping. `csv` are looked through in order: the first whose `files` fits a name is taken."""

    csv: tuple[CsvKind, ...]
    influxdb: tuple[InfluxKind, ...]

    def kind_of(self, name: str) -> tuple[CsvKind, re.Match[str]] | None:
        """What a file of this name is, or None."""
        return next(((kind, found) for kind in self.csv if (found := kind.files.fullmatch(name))), None)


def load_mapping(path: Path, policy: Policy) -> HistoryMapping:
    """The mapping in `path`. Raises MappingFault with every fault found."""
    document = read_toml(path, MappingFault)
    faults = Faults(str(path))
    for name in sorted(document.keys() - set(KINDS)):
        faults.add(name, found="an unknown key", allowed=", ".join(f"[[{kind}]]" for kind in KINDS))
    csv = [_csv(faults, policy, name, table) for name, table in _tables(faults, document, "csv")]
    influxdb = [_influxdb(faults, policy, name, table) for name, table in _tables(faults, document, "influxdb")]
    if not (csv or influxdb):
        faults.add("csv", found="nothing", allowed="at least one table [[csv]] or [[influxdb]]")
    faults.settle(MappingFault)
    return HistoryMapping(
        csv=tuple(kind for kind in csv if kind is not None),
        influxdb=tuple(influxdb),
    )


def _tables(faults: Faults, document: Mapping[str, Any], kind: str) -> Iterable[tuple[str, Any]]:
    tables = document.get(kind, [])
    if not isinstance(tables, list):
        faults.add(kind, found="a single table", allowed=f"a list of tables: write [[{kind}]]")
        return []
    return [(f"{kind}[{number}]", table) for number, table in enumerate(tables)]


def _csv(faults: Faults, policy: Policy, at: str, written: Any) -> CsvKind | None:  # noqa: ANN401 - what TOML gives
    table = faults.salvage(_Csv, (at,), written, files="(?P<device>.+)", time={}, quantity={})
    files = _pattern(faults, f"{at}.files", table)
    _judge_controller(faults, at, table.controller, controller_column=table.controller_column)
    if len(table.delimiter) != 1:
        faults.add(f"{at}.delimiter", found=f"{len(table.delimiter)} characters", allowed="one character")
    time = faults.salvage(TimeColumn, (at, "time"), table.time, column="")
    _judge_time(faults, f"{at}.time", time)
    quantities = {
        name: faults.salvage(Quantity, (at, "quantity", name), column, column="", unit="")
        for name, column in table.quantity.items()
    }
    _judge_quantities(faults, policy, at, table.quantity, quantities)
    if files is None:
        return None
    return CsvKind(
        files=files,
        controller=table.controller or "",
        controller_column=table.controller_column,
        device_column=table.device_column,
        delimiter=table.delimiter,
        decimal=table.decimal,
        encoding=table.encoding,
        time=time,
        quantities=quantities,
    )


def _influxdb(faults: Faults, policy: Policy, at: str, written: Any) -> InfluxKind:  # noqa: ANN401 - as above
    table = faults.salvage(_Influxdb, (at,), written, measurement="", device_tag="", quantity={})
    _judge_controller(faults, at, table.controller, controller_tag=table.controller_tag)
    where = table.where or {}
    for key, value in where.items():
        if not isinstance(value, str):
            faults.add(f"{at}.where.{key}", found="no text", allowed="text: the values of tags are text")
    quantities = {}
    for name, written_field in table.quantity.items():
        parsed = faults.salvage(_Field, (at, "quantity", name), written_field, field="", unit="")
        quantities[name] = Quantity(column=parsed.field, unit=parsed.unit, factor=parsed.factor)
    _judge_quantities(faults, policy, at, table.quantity, quantities)
    return InfluxKind(
        measurement=table.measurement,
        controller=table.controller or "",
        controller_tag=table.controller_tag,
        device_tag=table.device_tag,
        where=where,
        ignore=frozenset(table.ignore or ()),
        quantities=quantities,
    )


def _pattern(faults: Faults, key: str, table: _Csv) -> re.Pattern[str] | None:
    try:
        pattern = re.compile(table.files)
    except re.error:
        faults.add(key, found="what is no regular expression", allowed="one that fits whole file names")
        return None
    if table.device_column is None and "device" not in pattern.groupindex:
        faults.add(key, found="no group (?P<device>…)", allowed="that group, or device_column")
    if table.device_column is not None and "device" in pattern.groupindex:
        faults.add(key, found="a group (?P<device>…) beside device_column", allowed="one of them")
    return pattern


def _judge_controller(faults: Faults, at: str, fixed: str | None, **column: str | None) -> None:
    """It is named, or a column or tag names it: one of the two."""
    ((other, named),) = column.items()
    if (fixed is None) == (named is None):
        found = "neither" if fixed is None else "both"
        faults.add(f"{at}.controller", found=found, allowed=f"either controller or {other}")
    elif fixed is not None and not is_identifier(fixed):
        faults.add(f"{at}.controller", found="what is no identifier", allowed="the name of a controller")


def _judge_time(faults: Faults, at: str, time: TimeColumn) -> None:
    if time.format not in FORMATS and "%" not in time.format:
        allowed = f"{', '.join(FORMATS)}, or a form like %d.%m.%Y %H:%M"
        faults.add(f"{at}.format", found="an unknown form", allowed=allowed)
    if time.zone is None:
        if time.format not in _ZONELESS and "%z" not in time.format:
            allowed = "the zone of times that do not say theirs, like UTC or Europe/Stockholm"
            faults.add(f"{at}.zone", found="nothing", allowed=allowed)
        return
    try:
        zoneinfo.ZoneInfo(time.zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        faults.add(f"{at}.zone", found="an unknown zone", allowed="a name like UTC or Europe/Stockholm")


def _judge_quantities(
    faults: Faults, policy: Policy, at: str, written: Mapping[str, Any], parsed: Mapping[str, Quantity]
) -> None:
    if not written:
        faults.add(f"{at}.quantity", found="nothing", allowed="at least one quantity of the policy")
    for name in written:
        known = policy.by_name.get(name)
        if known is None:
            faults.add(f"{at}.quantity.{name}", found="an unknown quantity", allowed=", ".join(policy.by_name))
        elif parsed[name].unit != known.unit:
            allowed = f'"{known.unit}", which the column times factor must be in'
            faults.add(f"{at}.quantity.{name}.unit", found=f'"{parsed[name].unit}"', allowed=allowed)
