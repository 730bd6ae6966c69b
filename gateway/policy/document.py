"""A TOML document and what is wrong with it: every fault at once, each with file, key, what was found, what is allowed.

Policy and configuration both read through here, so that their faults look the same. It decides nothing about either. A
value that could be a secret (under an unknown key, or a URL with credentials) is never shown.

    faults = Faults("policy.toml")
    quantity = faults.parse(QuantityTable, ("quantity", "power"), document["quantity"]["power"])   # None when wrong
    faults.add("quantity.power.number", found="3, which humidity has too", allowed="a number of its own")
    faults.settle(PolicyFault)                                                                     # raises them all
"""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import ConfigurationFault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SHOWN = 60
"""Characters of a wrong value that a message repeats."""


class Table(BaseModel):
    """A table of a document as it is written: unknown keys are refused, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, allow_inf_nan=False)


AnyTable = TypeVar("AnyTable", bound=Table)


class Faults:
    """Collects the faults of one document."""

    def __init__(self, where: str, *, origin: Callable[[str], str] | None = None) -> None:
        """`where` names the document; `origin` says where the value of a key came from if not from there."""
        self._origin = origin or (lambda _: where)
        self._lines: list[str] = []
        self._wrong: set[tuple[str, str]] = (
            set()
        )  # where a value stands that is none, or not of its kind: (origin, key)

    def add(self, key: str, *, found: str, allowed: str) -> None:
        """One fault at `key` (dotted path)."""
        self.note(key, f"found {found}; allowed: {allowed}")

    def parse(self, table: type[AnyTable], path: Sequence[str], value: object) -> AnyTable | None:
        """`value` as a `table`, or None after its faults were added; `path` is where the value stands."""
        try:
            return table.model_validate(value)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                found, allowed = _explain(detail, table)
                key = ".".join([*path, *map(str, detail["loc"])])
                self.add(key, found=found, allowed=allowed)
                self._wrong.add((self._origin(key), key))
            return None

    def salvage(
        self,
        table: type[AnyTable],
        path: Sequence[str],
        value: object,
        **stand_ins: Any,  # noqa: ANN401 - values of the table's keys
    ) -> AnyTable:
        """As `parse`, with stand-ins, else defaults, for what is wrong or missing, so that the rest is judged as well.

        What is said of a stand-in is not added: its key is wrong already. Only if `settle` follows, and with a
        stand-in for each key that has no default.
        """
        parsed = self.parse(table, path, value)
        if parsed is not None:
            return parsed
        right = dict(stand_ins)
        for name, one in (value if isinstance(value, dict) else {}).items():
            with contextlib.suppress(ValidationError):
                table.model_validate({**stand_ins, name: one})
                right[name] = one
        return table.model_validate(right)

    def note(self, key: str, text: str) -> None:
        """One fault at `key` in words that another room found for it. Of what is wrong already nothing more is said."""
        origin = self._origin(key)
        levels = key.split(".")
        if not any((origin, ".".join(levels[:end])) in self._wrong for end in range(1, len(levels) + 1)):
            self._lines.append(f"{origin}: {key}: {text}")

    def settle(self, kind: type[ConfigurationFault]) -> None:
        """Raises `kind` when there was any fault; its message has one line for each."""
        if self._lines:
            count = "1 fault" if len(self._lines) == 1 else f"{len(self._lines)} faults"
            raise kind("\n  ".join([f"{count} found:", *self._lines]))


def read_toml(path: Path, kind: type[ConfigurationFault]) -> dict[str, Any]:
    """The document at `path` (UTF-8). Raises `kind` when it cannot be read or is not TOML, with the line."""
    text = ""
    try:
        text = path.read_bytes().decode()
        return tomllib.loads(text)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise kind(f"{path}: cannot be read: {reason}", hint="create the file, or name another one") from error
    except UnicodeDecodeError as error:
        raise kind(f"{path}: byte {error.start} is not utf-8", hint="save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        reason = _lowered(str(error)).replace("at end of document", f"at line {len(text.splitlines()) or 1}, the last")
        raise kind(f"{path}: not toml: {reason}") from error


def shown(value: object) -> str:
    """A wrong value for a message: as TOML would write it, shortened; a table or list only by its kind."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and "@" in value:  # user:password@host
        return "text with '@', not shown because it may hold a secret"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def allowed_by(schema: Mapping[str, Any]) -> str:
    """What the JSON schema of one key allows, in words; for a key that may be left out, what it is when given."""
    for option in schema.get("anyOf", ()):
        if option["type"] != "null":
            return allowed_by(option)
    if "const" in schema or "enum" in schema:
        return ", ".join(json.dumps(value) for value in schema.get("enum") or [schema["const"]])
    kind = {
        "array": "a list",
        "boolean": "true, false",
        "integer": "a whole number",
        "number": "a number",
        "object": "a table",
    }.get(schema["type"], "a path" if schema.get("format") == "path" else "text")
    if "minimum" in schema:
        return f"{kind} from {schema['minimum']} to {schema['maximum']}"
    if "pattern" in schema:
        return f"{kind} like {schema['pattern']}"
    return f"{kind}, not empty" if schema.get("minLength") else kind


def _explain(detail: ErrorDetails, table: type[Table]) -> tuple[str, str]:
    """(found, allowed) of one fault."""
    found = shown(detail["input"])
    if detail["type"] == "extra_forbidden":
        return "an unknown key", ", ".join(sorted(field.alias or name for name, field in table.model_fields.items()))
    if not detail["loc"]:
        return found, "a table"
    if detail["type"] == "value_error":
        return found, str(detail["ctx"]["error"])
    allowed = allowed_by(table.model_json_schema()["properties"][str(detail["loc"][0])])
    return "nothing" if detail["type"] == "missing" else found, allowed


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
