"""`glomska demo`: everything at once, on this machine alone, in a directory that is gone afterwards.

    broker, key store, store  →  three fleets publish  →  every home is read back and compared
                              →  one home's day  →  its erasure  →  the refusal to read it  →  the books

The gateway is the real one, in this process: its worker runs in threads, as `glomska run` has it; the view is drawn by
the main thread, whose CPU time is not counted as the gateway's. Broker and devices are processes of their own.

Ctrl-C, SIGTERM or a closed terminal end it within a second at any point: signals only set a flag, which is looked at
between all steps, so that nothing is cut in the middle and every process that was started is ended.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from firmware_sim.fleet import Home
from gateway.cli.chart import day_chart
from gateway.cli.failure import Interrupted
from gateway.cli.fleet import METERS, REAL_METERS, Fleets
from gateway.cli.flow import Gateway, Measured, flow
from gateway.cli.live import WIDEST, showing
from gateway.cli.options import AsJson
from gateway.cli.times import moment
from gateway.cli.witness import PURPOSE, Reckoning, Tail, Watched, read_home, reckon
from gateway.control import enrolment
from gateway.control.enrolment_file import EnrolmentFile
from gateway.control.erasure import Step
from gateway.control.verification import verify
from gateway.errors import KeyDestroyed, UsageFault, VerificationFailed
from gateway.model.ids import parse_controller, parse_customer
from gateway.runtime.config import load_settings, resource
from gateway.runtime.log import Log
from gateway.runtime.wiring import House, opened
from gateway.transport.broker import EmbeddedBroker

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# batch_ms is shorter than in the shipped configuration: the embedded broker has at most 100 unacknowledged messages out
# to us, so that no batch is larger, and what these devices send in 50 ms is more than that: it would only wait.
_CONFIGURATION = """\
state = "state"
policy = "policy.toml"

[mqtt]
url = "{url}"
client_id = "glomska-demo"

[store]
url = "sqlite:///readings.db"
batch_ms = 20
"""

_STEPS = {
    Step.FENCED: "in the ledger and fenced: nothing more is sealed or opened",
    Step.EFFECTIVE: "keys destroyed, in every file and every process",
    Step.PURGED_ONCE: "its unreadable rows deleted from the store",
    Step.PURGED: "and deleted again, should any have been under way",
}


def demo(
    seconds: Annotated[int, typer.Option(min=1, max=600, help="How long devices publish.")] = 20,
    homes: Annotated[int, typer.Option(min=2, max=2000, help="Simulated homes, beside three real ones.")] = 100,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Use this directory, and leave it, to look around afterwards.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show it: readings flow, one home is read, erased, and cannot be read again.

    Nothing is needed and nothing is left: broker, store and devices come with the gateway. Exit code 1 when a message
    was lost or stored twice.
    """
    console = Console(stderr=as_json, quiet=as_json and not sys.stderr.isatty())
    with _Ears() as ears, _directory(keep) as directory, contextlib.ExitStack() as stack:
        result = _Play(console, ears, directory, stack).run(homes=homes, seconds=seconds)
    if keep is not None:
        words = f"\nleft in {directory}, but for its broker, which is gone; try:"
        console.print(f"{words} glomska --config {directory}/gateway.toml erasures list", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(result))
    return 0 if balanced(result) else 1


def balanced(result: dict[str, Any]) -> bool:
    """Whether every message is stored once or refused, and nothing else is in the store."""
    accounted = result["stored"] + sum(result["refused"].values()) + result["lost"]
    return bool(result["published"] == accounted and not result["lost"] and not result["duplicated"])


class _Ears:
    """Signals that end the demo. They set a flag and nothing else.

    An exception out of a handler could strike anywhere: within a lock, or before a process that was just started is
    known by its number. After the demo the process ends, and a signal in its last moments must not end it in another
    way: they are ignored then, since the interpreter puts back what handles signals, and only that, before it ends.
    """

    def __init__(self) -> None:
        self.heard = False

    def __enter__(self) -> Self:
        for number in _ENDING:
            signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        """From here on they are ignored."""
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """Raises Interrupted."""
        if self.heard:
            raise Interrupted("interrupted", hint="nothing is left of the demo; repeat it when you like")

    def _hear(self, _number: int, _frame: object) -> None:
        self.heard = True


@contextlib.contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """Where everything lies. Raises UsageFault for one that is not empty."""
    if keep is None:
        directory = Path(tempfile.mkdtemp(prefix="glomska-demo-"))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise UsageFault("--keep: this directory is not empty", hint="name a new one")
    except OSError as fault:
        reason = (fault.strerror or "unknown reason").lower()
        raise UsageFault(f"--keep: this directory cannot be used: {reason}", hint="name a new one") from None
    yield keep.absolute()


class _Play:
    """The demo, act by act."""

    def __init__(self, console: Console, ears: _Ears, directory: Path, stack: contextlib.ExitStack) -> None:
        self._console = console
        self._ears = ears
        self._directory = directory
        self._stack = stack
        self._width = min(console.width, WIDEST)

    def run(self, *, homes: int, seconds: int) -> dict[str, Any]:
        """All acts; what `--json` prints. Raises Interrupted, and whatever goes wrong."""
        self._say("[bold]Glömska[/], a gateway that can forget: all of it, on this machine, for real.\n")
        fleets, house, watched, url = self._set_up(homes, seconds)
        home = fleets.homes[METERS][1]
        gateway, measured = self._flow(house, fleets, watched, home, url, seconds)
        reckoning = self._read_everything(house, watched, fleets)
        result = _books(fleets.published().published, gateway, reckoning) | _figures(gateway, measured)
        rows = self._read_one(house, home)
        result["erase_ms"] = self._erase(house, home)
        result["read_before_erase"] = rows
        result["read_after_erase"] = self._read_again(house, home)
        self._close(result, reckoning)
        return result

    def _set_up(self, homes: int, seconds: int) -> tuple[Fleets, House, Watched, str]:
        """Broker, key store, store, and everyone enrolled."""
        self._ears.check()
        broker = self._stack.enter_context(EmbeddedBroker())
        self._ears.check()
        (self._directory / "gateway.toml").write_text(_CONFIGURATION.format(url=broker.url))
        shutil.copyfile(resource("policy.toml"), self._directory / "policy.toml")
        house = self._stack.enter_context(opened(load_settings(self._directory / "gateway.toml", environ={})))
        house.control.check()  # makes the state directory
        watched = Watched(house.store)
        house.store = watched
        self._did("gateway", f"its broker at 127.0.0.1:{broker.port}, the rest in {self._directory}")
        outside = self._directory / "fleet"
        outside.mkdir()
        fleets = Fleets(outside, homes=homes, seconds=seconds)
        began = time.monotonic()
        with fleets.enrolment().open("rb") as stream:
            file = EnrolmentFile(stream, house.areas, now=house.clock.wall(), moment=moment)
            result = enrolment.enrol(house.control, house.custodian, house.policy, file)
        self._did("enrolled", f"{result.enrolled} homes, each with keys of its own, in {_ms(began)}")
        self._ears.check()
        return fleets, house, watched, broker.url

    def _flow(
        self, house: House, fleets: Fleets, watched: Watched, home: Home, url: str, seconds: int
    ) -> tuple[Gateway, Measured]:
        log = self._stack.enter_context((self._directory / "gateway.log").open("w", encoding="utf-8"))
        gateway = Gateway(house, Log(stream=log))
        self._stack.callback(gateway.end)
        gateway.start(self._ears.check)
        read_home(house, home)
        watched.followed = watched.asked  # this home's pseudonyms: only who may read it can tell them
        watched.live_from = time.time_ns()
        self._stack.callback(fleets.end)
        fleets.start(url)
        simulated = sum(map(len, fleets.homes.values())) - REAL_METERS
        self._did("devices", f"{REAL_METERS} real electricity meters, replayed; {simulated} simulated thermostats\n")
        tail = Tail(fleets.record(METERS), home.topic)
        with showing(self._console, seconds=seconds) as show:
            return gateway, flow(gateway, fleets, watched, tail, show, self._ears.check)

    def _read_everything(self, house: House, watched: Watched, fleets: Fleets) -> Reckoning:
        """Every home, against what its device has sent."""
        homes = [home for fleet in fleets.homes.values() for home in fleet]
        records = [fleets.record(name) for name, fleet in fleets.homes.items() if fleet]
        with self._console.status("reading every home back"):
            reckoning = reckon(house, watched, homes, records, self._ears.check)
        self._say("")
        self._did("compared", f"{reckoning.found:,} of {reckoning.valid:,} valid messages read back, digit for digit")
        return reckoning

    def _read_one(self, house: House, home: Home) -> int:
        """The day of one home as a chart; the number of readings."""
        self._head("One home is read")
        self._ears.check()
        table = read_home(house, home)
        self._say(f"Customer [bold]{home.customer}[/], for the purpose “{PURPOSE}”; the access log says so now.")
        self._say(f"{len(table):,} readings of a real household. Its last day tells when someone was home:\n")
        height = max(14, min(20, self._console.height - 8))
        chart = day_chart(table, width=self._width - 2, height=height, colour=self._console.color_system is not None)
        self._console.print(Text.from_ansi(chart))
        return len(table)

    def _erase(self, house: House, home: Home) -> float:
        """The erasure, step by step; ms until it was effective."""
        self._head("It is erased")
        self._ears.check()
        began = time.monotonic()

        def took_place(step: Step) -> None:
            self._say(f"  [green]{_ms(began):>8}[/]  {_STEPS[step]}")

        controller, customer = parse_controller(home.controller), parse_customer(home.customer)
        erased = house.erasures.erase(controller, customer, on_step=took_place)
        if erased.certificate is not None and house.control.ledger.key is not None:
            verdict = verify(erased.certificate, house.control.ledger.key, ledger=house.control.ledger.path)
            keys, line = len(verdict.claims["keys"]), verdict.claims["ledger"]["seq"]
            self._say(
                f"  [green]certified[/] {verdict.kind}: {keys} keys destroyed, line {line} of the ledger; verified"
            )
        return round(erased.effective_ms or 0.0, 1)

    def _read_again(self, house: House, home: Home) -> str:
        """What a reader is told now."""
        self._head("It is read again")
        self._ears.check()
        try:
            table = read_home(house, home)
        except KeyDestroyed as refusal:
            self._say(f"  [red]refused[/]  {refusal} ({refusal.code}, exit code {refusal.exit_code})")
            self._say("  [dim]nothing that was sealed for this home can be read by anyone[/]")
            return refusal.code
        raise VerificationFailed(f"an erased home gave {len(table)} readings", hint="this must never happen: report it")

    def _close(self, result: dict[str, Any], reckoning: Reckoning) -> None:
        """The books."""
        self._head("The books")
        refused = sum(result["refused"].values())
        told = Table.grid(padding=(0, 2), pad_edge=False)
        told.add_column(justify="right")
        told.add_column()
        told.add_row(f"{result['published']:,}", "distinct messages published")
        told.add_row(f"[green]{result['stored']:,}[/]", "stored, found again in the store with every value")
        told.add_row(
            f"[yellow]{refused:,}[/]", "refused: " + ", ".join(f"{n} {r}" for r, n in result["refused"].items())
        )
        told.add_row(_judged(result["lost"]), "lost")
        told.add_row(
            _judged(result["duplicated"]), f"duplicated: {reckoning.rows:,} rows, {result['stored']:,} messages"
        )
        self._console.print(told)
        latency, rate = result["latency_ms"], result["messages_per_second"]
        self._say(
            f"\n{rate:,.0f} messages a second from these devices, {result['cpu_us_per_message']} µs of CPU time each: "
            "so few\nshare what a batch costs, and where many come together it is a few µs (docs/performance.md);"
        )
        self._say(
            f"latency {latency['p50']} ms median, {latency['p99']} ms p99; erased in {result['erase_ms']:.0f} ms."
        )

    def _head(self, words: str) -> None:
        self._console.print()
        self._console.print(Rule(f"[bold]{words}[/]", align="left", style="dim"), width=self._width)

    def _did(self, what: str, words: str) -> None:
        self._say(f"[green]✓[/] [dim]{what:<10}[/] {words}")

    def _say(self, words: str) -> None:
        self._console.print(words, highlight=False, soft_wrap=not self._console.is_terminal)


def _books(published: int, gateway: Gateway, reckoning: Reckoning) -> dict[str, Any]:
    """Over distinct messages. What is neither found in the store nor counted as refused is lost."""
    refused = gateway.refused()
    return {
        "published": published,
        "stored": reckoning.found,
        "refused": refused,
        "lost": max(0, published - reckoning.found - sum(refused.values())),
        "duplicated": reckoning.rows - reckoning.found,
    }


def _figures(gateway: Gateway, measured: Measured) -> dict[str, Any]:
    median, worst = measured.latency or (None, None)
    return {
        "redelivered": gateway.metrics.redelivered,
        "untimed": gateway.metrics.untimed,
        "messages_per_second": round(measured.messages / max(measured.seconds, 1e-3), 1),
        "cpu_us_per_message": round(measured.cpu_us / max(measured.messages, 1), 1),
        "latency_ms": {"p50": median, "p99": worst},
    }


def _judged(count: int) -> str:
    return f"[{'red' if count else 'green'}]{count:,}[/]"


def _ms(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:,.0f} ms"
