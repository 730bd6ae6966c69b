"""`glomska trace`: why is this home silent? What is known of its devices, then what becomes of each message, live.

Device ids, times, names of quantities and reasons are shown, never a value. Ctrl-C shows the summary too, exit code
130; a customer who is erased meanwhile ends it with exit code 7.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
import time
from typing import Annotated, Any

import typer

from gateway.cli.failure import INTERRUPTED
from gateway.cli.options import AsJson, Config
from gateway.cli.subject import Argument, find_subject, subject_text
from gateway.control.trace import Found, Known
from gateway.errors import UsageFault
from gateway.model.ids import DeviceId, parse_device
from gateway.runtime.config import load_settings
from gateway.runtime.tracing import Live, Message, Tally, traced
from gateway.runtime.wiring import opened

_LONGEST_S = 900
_SECOND = 1_000_000_000


def trace(
    subject: Argument = None,
    purpose: Annotated[
        str, typer.Option(metavar="NAME", help="What for: a purpose that the policy declares.")
    ] = "support",
    seconds: Annotated[int, typer.Option(min=1, max=_LONGEST_S, help="How long messages are watched.")] = 60,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Why is this home silent? Watch one customer's messages on their way to the store.

    The subject is controller/customer, or controller/customer/device for one device, and never an argument. No value of
    a reading is shown, and nothing is kept. Every trace is in the ledger and in the access log.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with opened(load_settings(config), create=False) as house:
        text, device = _device(subject_text(subject))
        controller, customer = find_subject(text, house.keystore)
        with traced(house, controller, customer, device, purpose=purpose, seconds=seconds) as live:
            return _watch(live, as_json=as_json)


def _watch(live: Live, *, as_json: bool) -> int:
    """Show it all; the exit code."""
    found, code, begun = live.found, INTERRUPTED, time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        if not as_json:
            typer.echo("\n".join(_known(found)))
        with contextlib.closing(live.messages(_watching)) as messages:
            for message in messages:
                if not as_json:
                    typer.echo(_line(message))
        code = 0
    if as_json:
        typer.echo(json.dumps(_summary(found, live.tally), ensure_ascii=False))
    elif not _owns_any(found):
        typer.echo("no device is this customer's now: nothing that arrives is theirs")
    else:
        typer.echo(live.tally.words(time.monotonic() - begun))
    return code


def _watching() -> None:
    typer.echo("watching; Ctrl-C ends it", err=True)


def _device(text: str) -> tuple[str, DeviceId | None]:
    """Subject and device of `controller/customer/device`. Raises UsageFault."""
    parts = text.split("/")
    if len(parts) > 3:  # noqa: PLR2004 - the three of the format
        raise UsageFault("this is not a subject", hint="write controller/customer or controller/customer/device")
    return "/".join(parts[:2]), parse_device(parts[2]) if parts[2:] else None


def _owns_any(found: Found) -> bool:
    now = time.time_ns()
    return any(known.holds(now) for known in found.devices)


def _known(found: Found) -> list[str]:
    lines = [_said(known) for known in found.devices]
    keys = ", ".join(f"{name} {state}" for name, state in sorted(found.keys.items()))
    lines.append(f"keys: {keys}; readings from before {_when(found.horizon)} are refused")
    return [*lines, f"store: {found.store}"] if found.store else lines


def _said(known: Known) -> str:
    ends = "" if known.ends is None else f" to {_when(known.ends)}"
    newest = "none stored in 31 days" if known.newest is None else f"newest stored {_when(known.newest)}"
    fences = [f"; fenced from {_when(a)}{'' if b is None else f' to {_when(b)}'}" for a, b in known.fences]
    return f"{known.device}: from {_when(known.starts)}{ends}; {newest}{''.join(fences)}"


def _line(message: Message) -> str:
    reasons = ", ".join(message.refused)
    if message.stage in {"arrival", "decode"}:
        became = f"refused: {reasons}"
    else:
        stored = {None: "without a time of its own", True: "in the store", False: "not in the store"}[message.stored]
        became = f"sealed, {stored}{f'; of it refused: {reasons}' if reasons else ''}"
    names = ", ".join(message.quantities) or "nothing that could be read"
    return f"{_when(message.at)}  {message.device or 'not looked at'}  {names}  {became}"


def _summary(found: Found, tally: Tally) -> dict[str, Any]:
    devices = [
        {
            "device": known.device,
            "from": _when(known.starts),
            "to": None if known.ends is None else _when(known.ends),
            "newest": None if known.newest is None else _when(known.newest),
            "fences": [[_when(a), None if b is None else _when(b)] for a, b in known.fences],
        }
        for known in found.devices
    ]
    counts = {"messages": tally.messages, "sealed": tally.sealed, "stored": tally.stored, "untimed": tally.untimed}
    return {"devices": devices, "keys": found.keys, **counts, "refused": dict(tally.refused)}


def _when(time_ns: int) -> str:
    """UTC, whole seconds."""
    return dt.datetime.fromtimestamp(time_ns // _SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
