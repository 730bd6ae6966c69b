"""SIGKILL at random moments in turnover and erasure, under traffic: old or new, never mixed; repeated, it converges.

A gateway takes readings in all the while. `glomska keys turnover` and `glomska erase` are killed inside one of their
steps, drawn from all, at a moment drawn from the time that it takes; then and again the gateway too, while it goes on
with what was left. After each kill a process of its own looks: every living customer reads what was sealed under an old
month and what is being sealed now, who is being erased is there whole or gone for ever, no row is under a wrapping key
that a finished turnover has left, and the ledger verifies. Every few kills the same commands are repeated to their end,
and who was erased returns as somebody new.

    python -m tests.faults.kills --moments 1000 --gateways 3 --report docs/kills.md      # the end of `make soak`
    python -m tests.faults.kills --moments 15 --seed 5 --json               # as the tests run it

Exit code 1: something was mixed, lost, wrong, or did not converge.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_sim.connection import Broker
from firmware_sim.fleet import Message
from firmware_sim.publish import publish
from gateway.model.ids import parse_controller
from tests.commands import Gateway, Running, Stack, await_, deliver, flat, stack
from tests.faults.forks import STEPS, Command, look

CONTROLLER = parse_controller("heat-co")
LIVING = [f"robin-{number}" for number in range(4)]
LEAVING = [f"wren-{number}" for number in range(6)]
RATE = 40.0  # messages a second, over all devices
DAY_MS = 86_400_000
HISTORY = 5  # messages of each device of a month that is over
RECENT_MS = 5_000
KILLS_A_ROUND = 10  # between two repetitions
GATEWAY = 0.06  # of all kills, those of the gateway
_TURNOVER, _ERASE = ["keys", "turnover", "--json"], ["erase", "-", "--yes", "--json"]
_HEAD = "controller,customer,device,postal_code,valid_from"


@dataclass
class Books:
    """What was done and seen. `wrong` names what should not have been, never whom it was about."""

    kills: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    looks: int = 0
    readings: int = 0
    repeated: int = 0
    returned: int = 0


@dataclass
class Leaver:
    """Somebody who is erased again and again. `since` is from when on, in event time, the present incarnation reads."""

    since: int = 0
    struck: bool = False
    gone: bool = False


class Trial:
    """One gateway under traffic, and its books."""

    def __init__(self, folder: Path, on: Stack, chance: random.Random) -> None:
        self.books = Books()
        self.started = int(time.time() * 1000)
        self.published: list[int] = []  # event times; message n is of device n modulo their number
        self._folder = folder
        self._on = on
        self._chance = chance
        self._gateway = Gateway(folder, on, keys__lease_s=2, keys__poll_ms=100, store__timeout_s=1)
        self._leavers = {name: Leaver() for name in LEAVING}
        self._past = self.started - 40 * DAY_MS
        self._spans = dict.fromkeys(itertools.chain(*STEPS.values()), 0.05)  # seconds; measured by all that comes past
        self._running: Running | None = None
        self._over = threading.Event()
        self._fleet = threading.Thread(target=self._publish)

    @contextlib.contextmanager
    def living(self) -> Iterator[None]:
        """The gateway runs, with a past, and the fleet publishes; at the end the gateway has stored all of it."""
        everybody = [*LIVING, *LEAVING]
        rows = [f"{CONTROLLER},{name},of-{name},11122,2000-01-01" for name in everybody]
        self._gateway.enrol("\n".join([_HEAD, *rows, ""]))
        self._running = self._gateway.run()
        deliver(self._on, *(_message(name, self._past + n) for name in everybody for n in range(HISTORY)))
        self._fleet.start()
        try:
            yield
        finally:
            self._silence()
            self._running.kill()

    def round(self, until: int) -> None:
        """Kills until there have been so many; then everything is repeated."""
        while self.books.kills.total() < until and not self.books.wrong:
            self.strike()
        self.converge()

    def strike(self) -> None:
        """One kill of a command; now and then one of the gateway, that carries on with what the command has left."""
        name = self._chance.choice(("turnover", "erase"))
        if not self._strike(name):
            return
        self._look(name)
        if self._chance.random() < GATEWAY / (1 - GATEWAY):
            self._strike_gateway()

    def converge(self) -> None:
        """The same again, to the end; then who is gone returns."""
        for name in ("turnover", *(name for name, leaver in self._leavers.items() if leaver.struck)):
            act = "turnover" if name == "turnover" else "erase"
            with self._command(act, name) as command:
                code = command.end()
                self._learn(command)
                if code not in ({0} if act == "turnover" else {0, 7}):
                    self.books.wrong.append(f"{act}, repeated, ended with {code}: {command.said.strip()[-300:]}")
            self.books.repeated += 1
        self._look("repeated")
        for leaver in self._leavers.values():
            if leaver.struck and not leaver.gone:
                self.books.wrong.append("an erasure that was repeated has not destroyed")
        self._return()

    def conclude(self) -> None:
        """Every erasure becomes final, everything that was published is read back, and the ledger verifies."""
        assert self._running is not None
        self._silence()
        self._on_the_way_out()
        self._running.stop()
        windows = [(name, 0, int(time.time() * 1000) + 1) for name in LIVING]
        seen = look(self._gateway.environment, windows, CONTROLLER)
        for rows, times in zip(seen["read"], self._of_living(), strict=True):
            if rows != _readings([*range(self._past, self._past + HISTORY), *times]):
                self.books.wrong.append("a living customer does not read everything that was published")
            self.books.readings += len(rows or ())
        if seen["mixed"] or seen["ledger"] or seen["under_way"]:
            self.books.wrong.append(f"at the end: {seen['mixed']} {seen['ledger']} {seen['under_way']} open")
        key = self._folder / "public.pem"
        key.write_text(self._gateway.call("ledger", "public-key"))
        self._gateway.call("verify", str(self._gateway.state / "ledger" / "ledger.jsonl"), "--key", str(key))

    def _of_living(self) -> list[list[int]]:
        """Event times of what each of the living has published since the fleet began."""
        return [self.published[number :: len(LIVING) + len(LEAVING)] for number in range(len(LIVING))]

    def _on_the_way_out(self) -> None:
        """Wait until the second purges are done; one more turnover makes everything final."""

        def stored() -> bool:
            windows = [(name, self.started, int(time.time() * 1000) + 1) for name in LIVING]
            seen = look(self._gateway.environment, windows, CONTROLLER)
            messages = sum(len(rows) // 2 for rows in seen["read"] if isinstance(rows, list))
            return not seen["under_way"] and messages >= sum(map(len, self._of_living()))

        await_(stored, lambda: "what was published is not stored, or an act is still open")
        self._gateway.call("keys", "turnover", "--json")
        self._gateway.call("erasures", "resume", "--json")
        still = json.loads(self._gateway.call("erasures", "list", "--open", "--json"))["erasures"]
        if still:
            self.books.wrong.append(f"{len(still)} erasures are not final")

    def _strike(self, act: str) -> bool:
        name, step, share = self._chance.choice(LEAVING), self._chance.choice(STEPS[act]), self._chance.random()
        with self._command(act, name) as command:
            if command.await_step(step):
                time.sleep(share * self._spans[step])
            killed = command.kill()  # no more where it did not come to that step, as when others had done it
            if act == "erase":
                self._leavers[name].struck |= bool(command.step)
            self._learn(command)
            if killed:
                self.books.kills[act] += 1
                self.books.steps[f"{act}: {command.step.replace('_', ' ')}"] += 1
        return killed

    def _learn(self, command: Command) -> None:
        """How long steps take, of late."""
        for step, seconds in command.spans().items():
            self._spans[step] = 0.8 * self._spans.get(step, seconds) + 0.2 * seconds

    def _strike_gateway(self) -> None:
        assert self._running is not None
        time.sleep(self._chance.uniform(0, 1))
        self._running.kill()
        self._look("gateway", counts=True)
        self._running = self._gateway.run()

    def _look(self, after: str, *, counts: bool = False) -> None:
        """Everybody's past, and what the last seconds brought; what of it should not be."""
        now = int(time.time() * 1000)
        past = [(name, self._past, self._past + HISTORY) for name in [*LIVING, *LEAVING]]
        recent = [(name, now - RECENT_MS, now) for name in LIVING]
        seen = look(self._gateway.environment, [*past, *recent], CONTROLLER)
        self.books.looks += 1
        if counts and seen["under_way"]:
            self.books.kills[after] += 1
        of_past, of_recent = seen["read"][: len(past)], seen["read"][len(past) :]
        wrong = [*seen["mixed"], seen["ledger"]]
        wrong += [self._living(rows, self._past) for rows in of_past[: len(LIVING)]]
        wrong += [self._recent(rows) for rows in of_recent]
        wrong += map(self._leaver, self._leavers.values(), of_past[len(LIVING) :])
        self.books.wrong += [f"after {after}: {one}" for one in wrong if one]

    def _living(self, rows: Any, start: int) -> str:  # noqa: ANN401 - what `look` tells
        self.books.readings += len(rows or ()) if isinstance(rows, list) else 0
        return "" if rows == _readings(range(start, start + HISTORY)) else f"a living customer's past: {_shown(rows)}"

    def _recent(self, rows: Any) -> str:  # noqa: ANN401
        if not isinstance(rows, list):
            return f"a living customer's present: {_shown(rows)}"
        self.books.readings += len(rows)
        return "" if set(rows) <= set(_readings({t for t, _q, _v in rows})) else "a value that was never published"

    def _leaver(self, leaver: Leaver, rows: Any) -> str:  # noqa: ANN401
        if rows is None:
            leaver.gone = True
            return "" if leaver.struck else "somebody is gone whom nobody erased"
        whole = [] if leaver.since else _readings(range(self._past, self._past + HISTORY))
        if leaver.gone:
            return "somebody who was gone is back"
        return "" if rows == whole else f"neither whole nor gone: {_shown(rows)}"

    def _return(self) -> None:
        """Who was erased is enrolled again, and has nothing of before."""
        gone = {name: leaver for name, leaver in self._leavers.items() if leaver.gone}
        if not gone:
            return
        file = "\n".join([_HEAD, *(f"{CONTROLLER},{name},of-{name},11122," for name in gone), ""])
        with self._command("enrol", file) as command:
            if command.end():
                self.books.wrong.append(f"enrolled again: {command.said.strip()[-300:]}")
        now = int(time.time() * 1000)
        self._leavers |= {name: Leaver(since=now) for name in gone}
        self.books.returned += len(gone)

    def _command(self, act: str, about: str) -> Command:
        arguments, stdin = {
            "turnover": (_TURNOVER, ""),
            "erase": (_ERASE, f"{CONTROLLER}/{about}"),
            "enrol": (["enrol", "--csv", "-", "--new-incarnation", "--json"], about),
        }[act]
        return Command(arguments, self._gateway.environment, self._folder, stdin=stdin)

    def _silence(self) -> None:
        """The fleet ends, once the broker has all of its messages."""
        self._over.set()
        self._fleet.join()

    def _publish(self) -> None:
        publish(self._messages(), Broker.at(self._on.broker.url), client_id="fleet", rate=RATE, patience=3_600)

    def _messages(self) -> Iterator[Message]:
        """Everybody in turn, until told to stop."""
        for name in itertools.cycle([*LIVING, *LEAVING]):
            if self._over.is_set():
                return
            now = max(int(time.time() * 1000), (self.published or [0])[-1] + 1)
            self.published.append(now)
            yield _message(name, now)


def kills(folder: Path, *, moments: int, seed: int, patience_s: float) -> dict[str, Any]:
    """Everything that is to be told of one run."""
    started = time.monotonic()
    with stack("embedded") as on:
        trial = Trial(folder, on, random.Random(seed))
        books = trial.books
        try:
            with trial.living():
                while books.kills.total() < moments and time.monotonic() < started + patience_s and not books.wrong:
                    trial.round(min(moments, books.kills.total() + KILLS_A_ROUND))
                    _progress(books.kills.total(), moments)
                trial.conclude()
        except AssertionError as fault:  # something that had to come did not
            books.wrong.append(str(fault)[-1_000:])
    return {
        "seed": seed,
        "gateways": 1,
        "moments": books.kills.total(),
        "kills": dict(sorted(books.kills.items())),
        "steps": dict(sorted(books.steps.items())),
        "looks": books.looks,
        "repeated": books.repeated,
        "returned": books.returned,
        "messages": len(trial.published),
        "readings": books.readings,
        "wrong": books.wrong,
        "seconds": round(time.monotonic() - started),
    }


def several(gateways: int, moments: int, seed: int, minutes: float) -> dict[str, Any]:
    """As many gateways at once, each with its share of the moments and a seed of its own; their books together."""
    command = [sys.executable, "-m", "tests.faults.kills", "--json", "--minutes", str(minutes)]
    shares = [moments // gateways + (number < moments % gateways) for number in range(gateways)]
    children = [
        subprocess.Popen(
            [*command, "--moments", str(share), "--seed", str(seed + n)], stdout=subprocess.PIPE, text=True
        )
        for n, share in enumerate(shares)
    ]
    told = [json.loads(child.communicate()[0]) for child in children]
    summed = ("moments", "looks", "repeated", "returned", "messages", "readings")
    both: dict[str, Any] = {name: sum(one[name] for one in told) for name in summed}
    both |= {
        name: dict(sorted(sum((Counter(one[name]) for one in told), Counter()).items())) for name in ("kills", "steps")
    }
    both |= {"wrong": [fault for one in told for fault in one["wrong"]], "seed": seed, "gateways": gateways}
    return both | {"seconds": max(one["seconds"] for one in told)}


def _message(name: str, time_ms: int) -> Message:
    return flat(f"glomska/{CONTROLLER}/of-{name}/readings", time_ms, power=time_ms % 9973, humidity=time_ms % 97)


def _readings(times: Any) -> list[tuple[int, str, float]]:  # noqa: ANN401 - of numbers, in any order
    """What messages of these times read back as."""
    said = [[(t, "humidity", float(t % 97)), (t, "power", float(t % 9973))] for t in sorted(times)]
    return [one for two in said for one in two]


def _shown(rows: Any) -> str:  # noqa: ANN401
    return f"{len(rows)} readings" if isinstance(rows, list) else str(rows)


def _progress(done: int, moments: int) -> None:
    print(f"\r{done} of {moments} moments", end="", file=sys.stderr, flush=True)


_PAGE = """\
# Killed in the middle

Written by `make soak`; every figure is of the run below. Each of {gateways} gateways takes readings in over MQTT, on
SQLite with the file custodian. `glomska keys turnover` and `glomska erase` end by SIGKILL inside one of their steps,
drawn from all, at a random moment of it; and now and then so does the gateway while it carries on with what they left.
After every kill another process
looks: living customers read an old month and the last seconds, digit by digit; who is being erased is there whole or
gone for ever; no key is left under a wrapping key that a finished turnover has left; the ledger verifies. After every
ten kills the same commands are repeated to their end, and who was erased returns as somebody new.

| | |
|---|---|
| kills | {moments:,} |
{kills}
| looks in between | {looks:,} |
| commands repeated to their end | {repeated:,} |
| customers erased who came back | {returned:,} |
| messages published meanwhile | {messages:,} |
| readings read back and compared | {readings:,} |
| **mixed, lost, wrong, not converged** | **{faults}** |
| time | {minutes:.0f} minutes, first seed {seed} |

At the end every act is closed, every erasure final, every message of the living read back, and `glomska verify` finds
the ledger in order.
{found}
| what a killed command was in the middle of | times |
|---|---|
{steps}

A turnover carries on with open erasures first, hence their steps in it. What is done stands in `tests/faults/kills.py`.
A short one, of another seed, is part of `make test`.
"""


def write(told: dict[str, Any], path: Path) -> None:
    """The report of what `kills` returns."""
    text = _PAGE.format(
        **{key: value for key, value in told.items() if key not in {"kills", "steps"}},
        kills="\n".join(f"| … of {name} | {times:,} |" for name, times in told["kills"].items()),
        steps="\n".join(f"| {name.replace('_', ' ')} | {times:,} |" for name, times in told["steps"].items()),
        faults=len(told["wrong"]),
        found="".join(f"\nFound: {fault}\n" for fault in told["wrong"]),
        minutes=told["seconds"] / 60,
    )
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Run, print, write the report."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.kills")
    options.add_argument("--moments", type=int, default=1_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--gateways", type=int, default=1, help="as many at once, since most of it is waiting")
    options.add_argument("--minutes", type=float, default=600, help="stop after so long, with fewer moments")
    options.add_argument("--report", type=Path, help="Markdown file")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="glomska-kills-") as directory:
        if given.gateways > 1:
            told = several(given.gateways, given.moments, given.seed, given.minutes)
        else:
            told = kills(Path(directory), moments=given.moments, seed=given.seed, patience_s=60 * given.minutes)
    if given.report:
        write(told, given.report)
    print(json.dumps(told) if given.json else "\n".join(f"{key}: {value}" for key, value in told.items()))
    raise SystemExit(1 if told["wrong"] else 0)


if __name__ == "__main__":
    main()
