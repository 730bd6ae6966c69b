"""The command `firmware-sim`: words in, a `Request` out.

firmware-sim replay --days 7 --enrolment fleet.csv --json
firmware-sim simulate --homes 100 --days 1 --duplicates 0.05 --malformed 0.01
"""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer

from firmware_sim.connection import Broker
from firmware_sim.errors import FleetError, UsageFault
from firmware_sim.faults import Faults
from firmware_sim.fleet import Firmware, Home, Shares, meters, thermostats
from firmware_sim.homes import Hardships, Window, simulate_messages
from firmware_sim.login import Login
from firmware_sim.meters import Part, replay_count, replay_messages
from firmware_sim.run import INTERRUPTED, Request, print_error, run

P = ParamSpec("P")
Option = typer.Option
DAY = 86_400
MOST_DRIFT = 400  # ppm: with more, a clock may be five minutes ahead, and no gateway takes what is from the future
SOON = 2  # seconds: live homes begin when the fleet is connected for certain

app = typer.Typer(
    help="A fleet of thermostats and meters: replayed, simulated, faults included.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 4 unreachable, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"firmware-sim {version('glomska')}")
        raise typer.Exit


@app.callback()
def _firmware_sim(
    _version: Annotated[
        bool, Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def _request(
    *,
    url: Annotated[str, Option(envvar="FIRMWARE_SIM_URL", help="The broker.")] = "mqtt://127.0.0.1:1883",
    mqtt_version: Annotated[str, Option(help="5 or 3.1.1.")] = "5",
    username: Annotated[str | None, Option(help="Login at the broker.")] = None,
    password_file: Annotated[Path | None, Option(help="File with its password alone, mode 0600.")] = None,
    ca_file: Annotated[Path | None, Option(help="Whose brokers to trust (PEM), with mqtts://.")] = None,
    certificate_file: Annotated[Path | None, Option(help="The fleet's certificate (PEM), as a login.")] = None,
    key_file: Annotated[Path | None, Option(help="Its key (PEM).")] = None,
    homes: Annotated[int, Option(min=1, help="How many homes, each with one device.")] = 3,
    controller: Annotated[str, Option(help="The organisation that the homes belong to.")] = "demo",
    seed: Annotated[int, Option(help="The same seed and start give the same bytes.")] = 0,
    senml: Annotated[float, Option(min=0, max=1, help="Share of the devices that speak SenML.")] = 0.0,
    duplicates: Annotated[float, Option(min=0, max=1, help="Share published again later, the same bytes.")] = 0.0,
    disorder: Annotated[float, Option(min=0, max=1, help="Share that comes after its device's next one.")] = 0.0,
    bursts: Annotated[float, Option(min=0, max=1, help="Share kept while its device is offline, then sent.")] = 0.0,
    malformed: Annotated[float, Option(min=0, max=1, help="Broken messages beside the valid ones, as a share.")] = 0.0,
    oversized: Annotated[float, Option(min=0, max=1, help="The same, of 300 kB: a broker must want them.")] = 0.0,
    rate: Annotated[float, Option("--rate", "--speed", min=0, help="Messages a second; 0: as fast as they go.")] = 0.0,
    connections: Annotated[int, Option(min=1, max=256, help="MQTT sessions that share the devices.")] = 1,
    inflight: Annotated[int, Option(min=1, max=65535, help="Unacknowledged messages of a connection.")] = 500,
    client_id: Annotated[str, Option(help="Client ids begin with it; one fleet at a time may.")] = "firmware-sim",
    patience: Annotated[float, Option(min=0.1, help="Seconds without an answer until the broker is lost.")] = 30.0,
    enrolment: Annotated[Path | None, Option(help="Write the homes to this CSV file, for `glomska enrol`.")] = None,
    messages: Annotated[Path | None, Option(help="Write what is published to this file, as JSON lines.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Write these files, publish nothing.")] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout: the summary, the error.")] = False,
) -> Request:
    """The options that both commands take. Raises UsageFault."""
    return Request(
        broker=Broker.at(
            url,
            version=mqtt_version,
            window=inflight,
            login=Login(
                username=username,
                password_file=password_file,
                ca_file=ca_file,
                certificate_file=certificate_file,
                key_file=key_file,
            ),
        ),
        homes=homes,
        controller=controller,
        seed=seed,
        senml=senml,
        faults=Faults(
            duplicates=duplicates, disorder=disorder, bursts=bursts, malformed=malformed, oversized=oversized
        ),
        rate=rate,
        connections=connections,
        client_id=client_id,
        patience=patience,
        enrolment=enrolment,
        record=messages,
        dry_run=dry_run,
        as_json=as_json,
    )


def _command(body: Callable[Concatenate[Request, P], int]) -> None:
    """Register `body` under its name, with its own options and behind them those of `_request`, written once."""
    own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
    common = list(inspect.signature(_request, eval_str=True).parameters.values())

    @functools.wraps(body)
    def command(**options: object) -> None:
        shared = {parameter.name: options.pop(parameter.name) for parameter in common}
        try:
            code = body(_request(**shared), **options)  # type: ignore[arg-type,call-arg]  # typer has checked them
        except FleetError as error:
            print_error(error, as_json=bool(shared["as_json"]))
            code = error.exit_code
        raise typer.Exit(code)

    command.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *common)}
    app.command()(command)


@_command
def replay(
    request: Request,
    *,
    days: Annotated[
        float, Option(min=0, help="The last days of each file; 0: all, which not every policy keeps.")
    ] = 365.0,
    limit: Annotated[int | None, Option(min=1, help="Only the last readings of each home, so many.")] = None,
    keep_times: Annotated[bool, Option("--keep-times", help="Times as in the files, not shifted to end now.")] = False,
) -> int:
    """Publish what real meters have counted: three homes' files, and copies of them for more homes."""
    part = Part(days=days or None, limit=limit, end=None if keep_times else int(time.time() * 1000))
    homes = meters(request.homes, seed=request.seed, controller=request.controller, senml=request.senml)
    return run(request, "replay", homes, replay_messages(homes, part), total=replay_count(homes, part))


@_command
def simulate(
    request: Request,
    *,
    days: Annotated[float, Option(min=0, help="How long the homes are lived in.")] = 0.0,
    hours: Annotated[float, Option(min=0, help="The same in hours, added; neither: one day.")] = 0.0,
    interval: Annotated[int, Option(min=1, max=DAY, help="Seconds between two readings of a home.")] = 900,
    start: Annotated[str | None, Option(help="RFC 3339; without: so long ago that the last reading is of now.")] = None,
    live: Annotated[bool, Option("--live", help="From now on, each reading at its own time; no --rate.")] = False,
    together: Annotated[int, Option(min=1, max=1000, help="Readings that a device sends in one message.")] = 1,
    untimed: Annotated[float, Option(min=0, max=1, help="Share of the devices that have no clock.")] = 0.0,
    cbor: Annotated[float, Option(min=0, max=1, help="Share of the devices that speak CBOR.")] = 0.0,
    senml_cbor: Annotated[float, Option(min=0, max=1, help="Share of the devices that speak SenML CBOR.")] = 0.0,
    zigbee2mqtt: Annotated[float, Option(min=0, max=1, help="Share behind Zigbee2MQTT, with topics of its own.")] = 0.0,
    tasmota: Annotated[float, Option(min=0, max=1, help="Share that run Tasmota, with topics of its own.")] = 0.0,
    hubs: Annotated[float, Option(min=0, max=1, help="Share of the homes that are behind a hub of several.")] = 0.0,
    power_cuts: Annotated[float, Option(min=0, max=365, help="Power cuts of a home and year, in the mean.")] = 0.0,
    clock_drift: Annotated[float, Option(min=0, max=MOST_DRIFT, help="How clocks run off, ppm; crystals: 20.")] = 0.0,
) -> int:
    """Publish what simulated homes measure: houses in the weather of SE1 to SE4, with heat pump and thermostat."""
    if live and start is not None:
        raise UsageFault("--live and --start exclude each other: live begins now")
    steps = int((days * DAY + hours * 3600 or DAY) // interval)
    begin = int(time.time()) + (SOON if live else -steps * interval) if start is None else _unix(start)
    said = (untimed, cbor, senml_cbor, zigbee2mqtt, tasmota)
    spoken = (Firmware.UNTIMED, Firmware.CBOR, Firmware.SENML_CBOR, Firmware.ZIGBEE2MQTT, Firmware.TASMOTA)
    homes = _homes(request, dict(zip(spoken, said, strict=True)), hubs)
    window = Window(start=begin * 1000, interval=interval, steps=steps)
    hardships = Hardships(power_cuts=power_cuts, clock_drift=clock_drift)
    messages = simulate_messages(homes, window, seed=request.seed, hardships=hardships, together=together)
    return run(replace(request, live=live), "simulate", homes, messages, total=-(-steps // together) * len(homes))


def _homes(request: Request, shares: Shares, hubs: float) -> tuple[Home, ...]:
    """Raises UsageFault."""
    count, seed, controller = request.homes, request.seed, request.controller
    try:
        return thermostats(count, seed=seed, controller=controller, senml=request.senml, shares=shares, hubs=hubs)
    except ValueError:
        raise UsageFault("the shares of devices are more than all together") from None


def _unix(text: str) -> int:
    """Unix s of RFC 3339; UTC where it names no zone. Raises UsageFault."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageFault("--start: this is no time as in 2026-01-31T12:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())


def call(argv: list[str]) -> int:
    """One command; its exit code. A fault of the words is told like any other, as JSON where that was asked for."""
    try:
        code = app(args=argv or ["--help"], prog_name="firmware-sim", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as fault:
        words = getattr(fault, "format_message", None)  # typer's usage errors, whose class moved between its versions
        if not callable(words):
            raise
        error = UsageFault(_in_our_words(str(words())))
        print_error(error, as_json="--json" in argv)
        return error.exit_code
    return code if isinstance(code, int) else 0


def _in_our_words(message: str) -> str:
    message = message.replace("Value error, ", "").rstrip(".")  # where typer quotes what it validates with
    return message[:1].lower() + message[1:]


def main() -> None:
    """Entry point."""
    sys.exit(call(sys.argv[1:]))
