"""Whom a command is about: read from stdin, a file or the terminal, never from the command line.

What stands on a command line is seen by every user of the machine, kept by shells and written to logs by supervisors.

    printf 'demo/customer-1' | glomska read - --purpose support
    glomska read @subject.txt --purpose support

The controller may be left out where the key store has one only. One line end after the subject is cut, nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import UnknownSubject, UsageFault
from gateway.keystore import lineages
from gateway.keystore.database import KeyStore
from gateway.model.ids import Controller, CustomerId, parse_controller, parse_customer

_LONGEST = 1024  # bytes; two identifiers and a slash are 257

Argument = Annotated[
    str | None,
    typer.Argument(metavar="-|@FILE", help="Where the subject is read: stdin or a file. Without: asks on a terminal."),
]


def subject_text(argument: str | None) -> str:
    """What was given as the subject. Raises UsageFault."""
    if argument is None or (argument == "-" and sys.stdin.isatty()):
        if not sys.stdin.isatty():
            raise UsageFault("no subject was given", hint="write it to stdin and give -, or give @FILE")
        return str(typer.prompt("subject (controller/customer)", err=True))
    if argument == "-":
        return _line(sys.stdin.buffer.read(_LONGEST))
    if argument.startswith("@"):
        try:
            with Path(argument[1:]).open("rb") as file:
                return _line(file.read(_LONGEST))
        except OSError as fault:
            reason = (fault.strerror or "unknown reason").lower()
            raise UsageFault(f"the file with the subject cannot be read: {reason}") from None
    raise UsageFault(
        "the subject is never an argument: other users of this machine can see arguments, and shells keep them",
        hint="write it to stdin and give -, or give @FILE; nothing was done, but clear it from the shell's history",
    )


def find_subject(text: str, keystore: KeyStore) -> tuple[Controller, CustomerId]:
    """Controller and customer of `controller/customer`, or of `customer` where one controller is all there is.

    Raises UsageFault, UnknownSubject.
    """
    *before, customer = text.split("/")
    if len(before) > 1:
        raise UsageFault("this is not a subject", hint="write controller/customer")
    if before:
        return parse_controller(before[0]), parse_customer(customer)
    name = parse_customer(customer)
    with keystore.snapshot() as tx:
        controllers = lineages.all_controllers(tx)
    if not controllers:
        raise UnknownSubject("nobody is enrolled in this key store")
    if len(controllers) > 1:
        raise UsageFault(f"this key store has {len(controllers)} controllers", hint="write controller/customer")
    return controllers[0], name


def _line(raw: bytes) -> str:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise UsageFault("the subject is not UTF-8") from None
    if not text:
        raise UsageFault("the subject is empty", hint="write controller/customer")
    if "\n" in text or len(raw) > _LONGEST - 2:
        raise UsageFault("there is more than one subject", hint="one call is about one customer: one line")
    return text
