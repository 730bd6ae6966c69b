"""The enrolment file: CSV in, lines to enrol out, and every line that is none refused by number and reason.

    controller,customer,device,postal_code,valid_from,purposes
    demo,customer-1,meter-1,111 22,2026-01-31T12:00:00Z,development;marketing
    demo,customer-1,meter-2,111 22,,

UTF-8, with or without a byte order mark. The first line names the columns, in any order; `purposes` may be left out.
One line, one device: quotes may enclose a cell but no line end, so that a stray one spoils its own line only. Cells are
identifiers and are never trimmed. `valid_from` is a date (its midnight, UTC), RFC 3339, or empty: now. `purposes` are
those the customer consents to, separated by `;` or blanks.

Nothing of a cell is ever shown, not in a message either: a file without its first line has a customer there.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import BinaryIO

from gateway.control.enrolment import Enrolment
from gateway.errors import UsageFault
from gateway.model.ids import InvalidIdentifier, parse_controller, parse_customer, parse_device
from gateway.policy.areas import Areas, UnknownPostalCode

COLUMNS = ("controller", "customer", "device", "postal_code", "valid_from")
OPTIONAL = ("purposes",)

REASONS = MappingProxyType(
    {
        "columns": "it has more or fewer cells than the first line",
        "quotes": "its quotes do not match",
        "encoding": "it is not UTF-8",
        "identifier": "controller, customer or device is not 1 to 128 bytes without control characters, '/', '+', '#'",
        "postal_code": "it is not a Swedish postal code, or lies in no price area",
        "valid_from": "it is neither a date nor RFC 3339 nor empty",
        "purpose": "a purpose is not declared, or does not ask for consent",
        "taken": "the device belongs to another customer at that time",
        "erased": "the customer was erased: with --new-incarnation they begin anew; or the device was, at that time, "
        "one's who was erased: give a later valid_from",
        "suspended": "the customer is suspended: resume them, then enrol again",
        "left": "the controller has left, and its keys were destroyed: that is for ever",
        "damaged": "the customer's key, or what they chose, does not open: the key store was damaged or changed; bring "
        "it back from a backup, or see what `glomska keys turnover` says",
    }
)
"""Why a line is refused: a closed list. The last five are found by `enrolment`."""

_BETWEEN = re.compile(r"[;\s]+")


class _LineRefused(Exception):
    """One line is not taken; the argument is its reason."""


class EnrolmentFile:
    """Iterate once. `refused` grows meanwhile: (line number, reason), line 1 being the first of the file."""

    def __init__(self, stream: BinaryIO, areas: Areas, *, now: int, moment: Callable[[str], int]) -> None:
        """Read the first line.

        Args:
            stream: the file's bytes.
            areas: postal codes to price areas.
            now: what an empty `valid_from` means, ns since 1970.
            moment: ns since 1970 of a date or of RFC 3339 text; raises ValueError.

        Raises:
            UsageFault: the first line does not name the columns.
        """
        self.refused: list[tuple[int, str]] = []
        self._stream = stream
        self._areas, self._now, self._moment = areas, now, moment
        self._columns = _header(stream.readline().removeprefix(codecs.BOM_UTF8))

    def __iter__(self) -> Iterator[Enrolment]:
        """Lines that can be enrolled, as far as one line alone can tell."""
        for number, line in enumerate(self._stream, start=2):
            if not line.strip(b"\r\n"):
                continue
            try:
                yield self._parsed(number, line)
            except _LineRefused as refusal:
                self.refused.append((number, str(refusal)))

    def _parsed(self, number: int, line: bytes) -> Enrolment:
        cells = _cells(line)
        if len(cells) != len(self._columns):
            raise _LineRefused("columns")
        cell = dict(zip(self._columns, cells, strict=True))
        try:
            return Enrolment(
                line=number,
                controller=parse_controller(cell["controller"]),
                customer=parse_customer(cell["customer"]),
                device=parse_device(cell["device"]),
                area=self._areas.area(cell["postal_code"]),
                valid_from=self._moment(cell["valid_from"]) if cell["valid_from"] else self._now,
                purposes=tuple(filter(None, _BETWEEN.split(cell.get("purposes", "")))),
            )
        except InvalidIdentifier:
            raise _LineRefused("identifier") from None
        except UnknownPostalCode:
            raise _LineRefused("postal_code") from None
        except ValueError:
            raise _LineRefused("valid_from") from None


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode()], strict=True))
    except UnicodeDecodeError:
        raise _LineRefused("encoding") from None
    except csv.Error:
        raise _LineRefused("quotes") from None


def _header(line: bytes) -> list[str]:
    """The columns. Raises UsageFault."""
    hint = f"begin the file with {','.join(COLUMNS)} and, if wanted, {OPTIONAL[0]}; commas between, saved as UTF-8"
    try:
        names = _cells(line) if line.strip() else []
    except _LineRefused:
        names = []
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UsageFault(f"the first line does not name the columns: no {', '.join(missing)}", hint=hint)
    if len(set(names)) != len(names):
        raise UsageFault("the first line names a column twice", hint=hint)
    unknown = len(set(names) - {*COLUMNS, *OPTIONAL})
    if unknown:
        raise UsageFault(f"the first line names {unknown} unknown column(s)", hint=hint)
    return names
