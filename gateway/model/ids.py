"""Parsed identifiers. Text becomes one of these at the rim, once, and is never trimmed, folded or normalised.

Grammar (controller, customer, device): 1 to 128 bytes of UTF-8, no control character, no `/`, `+`, `#`.
Incarnation, key id, record id and route id are 16 random bytes.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from functools import lru_cache
from typing import NewType

from gateway.errors import UsageFault

Controller = NewType("Controller", str)
CustomerId = NewType("CustomerId", str)
DeviceId = NewType("DeviceId", str)
Pseudonym = NewType("Pseudonym", str)
KeyEpoch = NewType("KeyEpoch", int)
Incarnation = NewType("Incarnation", bytes)
KeyId = NewType("KeyId", bytes)
RecordId = NewType("RecordId", bytes)
RouteId = NewType("RouteId", bytes)

IDENTIFIER_BYTES = 128
ID_BYTES = 16
NO_INCARNATION = Incarnation(bytes(ID_BYTES))
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f/+#]")  # the control characters of Unicode, all 65, and MQTT's own signs


class InvalidIdentifier(UsageFault):
    """Text that is no identifier; the text itself is never in the message."""

    code = "invalid_identifier"
    hint = "identifiers are 1 to 128 bytes of UTF-8 without control characters, '/', '+' or '#'"


def is_identifier(text: str) -> bool:
    """Whether `text` may name a controller, customer or device."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return 1 <= size <= IDENTIFIER_BYTES and _FORBIDDEN.search(text) is None


def parse_controller(text: str) -> Controller:
    """A controller's name. Raises InvalidIdentifier."""
    return Controller(_parsed(text, "controller"))


def parse_customer(text: str) -> CustomerId:
    """A customer's id. Raises InvalidIdentifier."""
    return CustomerId(_parsed(text, "customer"))


def parse_device(text: str) -> DeviceId:
    """A device's id. Raises InvalidIdentifier."""
    return DeviceId(_parsed(text, "device"))


def new_id() -> bytes:
    """16 random bytes: an incarnation, key id, record id or route id."""
    return secrets.token_bytes(ID_BYTES)


def epoch_of(event_time: int) -> KeyEpoch:
    """The key epoch, 12 x (year - 1970) + month - 1 in UTC, of an event time in ns since 1970."""
    return _epoch_of_day(event_time // 86_400_000_000_000)


@lru_cache(maxsize=4096)
def _epoch_of_day(day: int) -> KeyEpoch:
    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    return KeyEpoch(12 * (date.year - 1970) + date.month - 1)


@lru_cache(maxsize=4096)
def epoch_start(epoch: int) -> int:
    """First ns of a key epoch, UTC, since 1970."""
    date = dt.date(1970 + epoch // 12, epoch % 12 + 1, 1)
    return (date - dt.date(1970, 1, 1)).days * 86_400_000_000_000


def _parsed(text: str, what: str) -> str:
    if not is_identifier(text):
        message = f"this is not a {what}"
        raise InvalidIdentifier(message)
    return text
