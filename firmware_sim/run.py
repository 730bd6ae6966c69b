"""One run of the fleet, from what was asked to what is printed: the same for replayed and for simulated homes.

    enrolment file  ->  messages  ->  faults  ->  (a record of them)  ->  broker  ->  summary on stdout

Standard output carries the summary alone, with `error` in it if there was one; progress goes to standard error, and
only to a terminal.
"""

from __future__ import annotations

import base64
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from firmware_sim.connection import Broker
from firmware_sim.enrolment import write_enrolment
from firmware_sim.errors import FleetError, Unreachable, UsageFault
from firmware_sim.faults import Faults, with_faults
from firmware_sim.fleet import Home, Kind, Message
from firmware_sim.publish import publish
from firmware_sim.tally import Tally

INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What both commands take."""

    broker: Broker
    homes: int
    controller: str
    seed: int
    senml: float
    faults: Faults
    rate: float
    connections: int
    client_id: str
    patience: float
    enrolment: Path | None
    record: Path | None
    dry_run: bool
    as_json: bool
    live: bool = False


def run(request: Request, name: str, homes: Sequence[Home], messages: Iterable[Message], *, total: int) -> int:
    """Publish `messages`, `total` at most, and what the faults make of them, and print the books; the exit code."""
    tally, start, error = Tally(), time.monotonic(), None
    request = replace(request, client_id=f"{request.client_id}-{name}")  # both commands may run side by side
    with _stop_on_interrupt() as stop:
        try:
            if request.enrolment is not None:
                write_enrolment(homes, request.enrolment)
            _publish(request, _stream(request, messages), total, tally, stop)
        except (FleetError, OSError) as caught:
            error = caught
    devices = len({home.device for home in homes})
    seconds = round(time.monotonic() - start, 3)
    took = {"homes": len(homes), "devices": devices, "seconds": seconds, "memory_mib": _memory_mib()}
    _report(tally.summary() | took, error, request.as_json)
    if error is not None:
        return explained(error).exit_code
    return INTERRUPTED if stop.is_set() else 0


def _memory_mib() -> float:
    """The most that this process has held in memory, interpreter and libraries included. Source: proc(5).

    Not getrusage(2): what it tells begins with what the process had that started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024, 1)


def explained(error: FleetError | OSError) -> FleetError:
    """The error as one of ours. No OSError but of files named on the command line gets here."""
    if isinstance(error, FleetError):
        return error
    return UsageFault(f"a file cannot be written: {(error.strerror or 'no reason given').lower()}")


def print_error(error: FleetError, *, as_json: bool) -> None:
    """As JSON to stdout, or for a reader to stderr."""
    if as_json:
        sys.stdout.write(json.dumps(_error_object(error)) + "\n")
    else:
        sys.stderr.write(f"firmware-sim: {error}\n  {error.hint}\n")


def _publish(request: Request, stream: Iterator[Message], total: int, tally: Tally, stop: threading.Event) -> None:
    if request.dry_run:
        if request.record is not None:  # a record without a broker; without one there is nothing to do
            for _ in stream:
                if stop.is_set():
                    return
        return
    with _progress(total) as on_progress:
        publish(
            stream,
            request.broker,
            connections=request.connections,
            client_id=request.client_id,
            rate=request.rate,
            live=request.live,
            patience=request.patience,
            stop=stop,
            tally=tally,
            on_progress=on_progress,
        )
    if tally.rejected:
        raise Unreachable(f"the broker has rejected {tally.rejected} messages: its log says why")


def _stream(request: Request, messages: Iterable[Message]) -> Iterator[Message]:
    stream = with_faults(messages, request.faults, seed=request.seed)
    return stream if request.record is None else _recorded(stream, request.record)


def _recorded(messages: Iterator[Message], path: Path) -> Iterator[Message]:
    """Pass messages on, each with a line of JSON in the file; a payload that is no UTF-8 goes there as base64."""
    with path.open("w", encoding="utf-8") as file:
        for message in messages:
            entry: dict[str, object] = {"topic": message.topic, "time": message.time}
            try:
                entry["payload"] = message.payload.decode()
            except UnicodeDecodeError:
                entry["payload_base64"] = base64.b64encode(message.payload).decode()
            entry |= {"content_type": message.content_type, "kind": message.kind}
            entry |= {"fault": message.fault, "reason": message.reason}
            file.write(json.dumps(entry) + "\n")
            yield message


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl-C or SIGTERM lets what is under way be acknowledged; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Tally], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("acknowledged", total=total, rate="")
        start = time.monotonic()

        def show(tally: Tally) -> None:
            rate = tally.deliveries / max(time.monotonic() - start, 1e-3)
            progress.update(task, completed=tally.kinds[Kind.VALID] + tally.kinds[Kind.UNTIMED], rate=f"{rate:,.0f}/s")

        yield show


def _report(summary: dict[str, object], error: FleetError | OSError | None, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(summary | (_error_object(explained(error)) if error else {})) + "\n")
        return
    if error is not None:
        print_error(explained(error), as_json=False)
        if not summary["deliveries"]:
            return
    table = Table(show_header=False, box=None)
    for name, value in summary.items():
        lines = [f"{count:,} {key}" for key, count in value.items()] if isinstance(value, dict) else [f"{value:,}"]
        table.add_row(name.replace("_", " "), "\n".join(lines) or "none")
    Console().print(table)


def _error_object(error: FleetError) -> dict[str, object]:
    body = {"code": error.code, "message": str(error), "hint": error.hint, "retryable": error.retryable}
    return {"error": body}
