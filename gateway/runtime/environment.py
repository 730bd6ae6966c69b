"""Keys of the configuration from environment variables: `GLOMSKA_STATE`, `GLOMSKA_MQTT__URL`.

Text is taken as it is, everything else as TOML writes it (`true`, `30`, `["a", "b"]`). A variable that names no key is
a fault, as an unknown key in the file is, except `GLOMSKA_CONFIG`, which names the file, `GLOMSKA_DEBUG`, which is for
the command line, and `GLOMSKA_TEST_…`, which are for the tests. An unknown variable's value is never shown.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from gateway.policy.document import Faults, Table

PREFIX = "GLOMSKA_"
_NO_KEYS = re.compile(PREFIX + "(CONFIG|DEBUG|TEST_.*)")


def overlay(
    document: dict[str, Any],
    environ: Mapping[str, str],
    tables: Mapping[str, type[Table]],
    origins: dict[str, str],
    faults: Faults,
) -> None:
    """Put variables over the document's values. `tables` are its sections, "" for keys at the top.

    `origins` is filled: key -> the variable that gave it.
    """
    for variable in sorted(v for v in environ if v.startswith(PREFIX) and not _NO_KEYS.fullmatch(v)):
        *section, name = variable.removeprefix(PREFIX).lower().split("__", 1)
        table = tables.get("".join(section))
        key = ".".join([*section, name])
        origins[key] = variable
        if table is None or name not in table.model_fields:
            known = sorted(table.model_fields if table else filter(None, tables))
            faults.add(key, found="an unknown key", allowed=", ".join(known))
            continue
        target = document.setdefault(section[0], {}) if section else document
        if isinstance(target, dict):  # else the file has something else there, which is a fault of its own
            target[name] = _value(table.model_json_schema()["properties"][name], environ[variable])


def _value(schema: Mapping[str, Any], written: str) -> object:
    """A variable as the value of a key with this JSON schema; what is not TOML stays text, for a fault to show."""
    kinds = {option.get("type") for option in schema.get("anyOf", [schema])} - {"null"}
    if kinds == {"string"}:
        return written
    try:
        parsed = tomllib.loads(f"value = {written}")
    except tomllib.TOMLDecodeError:
        return written
    return parsed["value"] if parsed.keys() == {"value"} else written
