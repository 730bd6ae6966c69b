"""Each act of the soak against a gateway that lacks what survives it: the books must tell, or they prove nothing.

    python -m tests.faults.bite --write                       # all of them, and the table in docs/faults.md
    python -m tests.faults.bite --only "disk full" --json     # one, as the tests run it

Every act, and some in a special form, is done twice, under load, at a site of its own: to gateway and fleet as they
are, whose books must balance, and to those with a defence of `without` taken out, whose books must show what `shows`
names. Chance is left out: what an act of the soak needs a hundred tries for, the acts here bring about at once. Exit
code 1: what is as it is has failed, or what lacks a defence has not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults import stream
from tests.faults.books import balance
from tests.faults.decisive import BITES, TESTS, at_work
from tests.faults.site import Site
from tests.faults.soak import holds
from tests.faults.without import NAME
from tests.netns import isolated

ROOT = Path(__file__).parents[2]
RATE = 400  # messages a second
CALM = {0, 4, -signal.SIGKILL}  # ends of a gateway: stopped, unreachable at the start, killed
_MARKS = ("<!-- bites -->\n", "<!-- /bites -->\n")
_HEAD = ("| fault | what the gateway lacks | its books | the gateway as it is |", "|---|---|---|---|")
_CLEAR = {"PYTHONPATH", NAME}


def bitten(name: str, seed: int) -> dict[str, Any]:
    """The books of one act at a site of this process."""
    bite, chance = BITES[name], random.Random(seed)
    messages = RATE * bite.seconds
    written = stream.Stream(count=messages, start_ms=int(time.time() * 1000) - (messages // 200 + 3_600) * 1000)
    with (
        tempfile.TemporaryDirectory(prefix="glomska-bite-") as directory,
        Site(Path(directory), written, workers=bite.workers, queue=bite.queue, settings=bite.settings) as site,
    ):
        with site.publishing(rate=RATE):
            at_work(site)
            bite.act(site, chance)
        site.settle()
        site.gateway.environment = without_mark(site.gateway.environment)  # who balances the books lacks nothing
        books, crashed = balance(site), sum(code not in CALM for code in site.ended)
    kept = holds(books) and not crashed and (bite.forgives or not books.lost_by_broker)
    return dataclasses.asdict(books) | {"crashed": crashed, "holds": kept}


def apart(name: str, seed: int, without: str) -> dict[str, Any]:
    """The same, in a process and namespaces of its own, whose gateway may lack a defence."""
    command = [sys.executable, "-m", "tests.faults.bite", "--within", name, "--seed", str(seed)]
    done = subprocess.run(command, env=_environment(without), cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"fault": done.stderr[-4_000:], "holds": False}
    return told


def without_mark(environment: Mapping[str, str]) -> dict[str, str]:
    """That of a process that lacks nothing."""
    return {key: value for key, value in environment.items() if key not in _CLEAR}


def _environment(without: str) -> dict[str, str]:
    environment = without_mark(os.environ)
    if without:
        environment |= {"PYTHONPATH": f"{ROOT / 'tests/faults/lacking'}:{ROOT}", NAME: without}
    return environment


def tried_test(node: str) -> dict[str, Any]:
    """A test of the table of faults in a process that lacks something: whether it fails by what it asserts."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", node]
    done = subprocess.run(command, env=_environment(TESTS[node]), cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    asserted = "AssertionError" in said or "\nE   assert" in said
    bites = done.returncode == 1 and asserted and "Error in sitecustomize" not in said
    fault = {} if bites else {"fault": said[-4_000:]}
    return {"act": node, "without": TESTS[node], "shows": "fails", "bites": bites, "lacking": fault}


def tried(name: str, seed: int, *, whole: bool) -> dict[str, Any]:
    """Both gateways, or only the one that lacks something; whether that is as it should be."""
    if name in TESTS:
        return tried_test(name)
    bite = BITES[name]
    lacking = apart(name, seed, bite.without)
    sound = apart(name, seed, "") if whole else {"holds": True}
    bites = lacking.get(bite.shows, 0) > 0 and sound["holds"]
    return {"act": name, "without": bite.without, "shows": bite.shows, "bites": bites, "lacking": lacking} | (
        {"sound": sound} if whole else {}
    )


def write(found: Sequence[dict[str, Any]], page: Path) -> None:
    """Their rows in the table of docs/faults.md; what was not tried keeps the row it has."""
    before, _, rest = page.read_text().partition(_MARKS[0])
    old, _, after = rest.partition(_MARKS[1])
    rows = {line.partition(" | ")[0]: line for line in (*old.splitlines(), *map(_row, found))}
    wanted = [rows[first] for name in (*BITES, *TESTS) if (first := f"| {_title(name)}") in rows]
    page.write_text(before + _MARKS[0] + "\n".join([*_HEAD, *wanted, ""]) + _MARKS[1] + after)


def _row(one: dict[str, Any]) -> str:
    return f"| {_title(one['act'])} | `{one['without']}` | {_shown(one)} | {_sound(one)} |"


def _title(name: str) -> str:
    """In the table: the test, or the act and what is special."""
    if name in TESTS:
        return f"`{name}`"
    act, _, special = name.partition(":")
    return f"act `{act}`" + (f":{special}" if special else "")


def _shown(one: dict[str, Any]) -> str:
    """The number that gives it away."""
    books, name = one["lacking"], one["shows"]
    if name == "fails":
        return "**fails**"
    if name == "crashed":
        return f"**it ended**, {books.get('lost_by_broker', 0):,} of {books.get('published', 0):,} not taken"
    said = {"lost": "lost", "doubled": "doubled", "lost_by_broker": "not taken"}[name]
    return f"**{books.get(name, 0):,} {said}** of {books.get('published', 0):,}"


def _sound(one: dict[str, Any]) -> str:
    if "sound" not in one:
        return "passes, as in `make test`"
    books = one["sound"]
    by_broker = books.get("lost_by_broker", 0)
    return (f"balance; {by_broker:,} lost by the broker" if by_broker else "balance") if books["holds"] else "**fail**"


def main() -> None:
    """Run, print, write the table."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.bite")
    options.add_argument("--only", action="append", choices=sorted(BITES | TESTS), help="these; all, unless given")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--at-once", type=int, default=3, help="sites at once, since most of it is waiting")
    options.add_argument("--lacking-only", action="store_true", help="leave the gateway as it is out")
    options.add_argument("--write", action="store_true", help="the table into docs/faults.md")
    options.add_argument("--json", action="store_true")
    options.add_argument("--within", choices=sorted(BITES), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.within:
        isolated("tests.faults.bite", sys.argv[1:])
        stream.DEVICES_PER_CUSTOMER = 100  # larger homes, of which fewer have to be read
        print(json.dumps(bitten(given.within, given.seed)))
        return
    names = given.only or [*BITES, *TESTS]
    with ThreadPoolExecutor(given.at_once) as pool:
        found = list(pool.map(lambda name: _told(tried(name, given.seed, whole=not given.lacking_only)), names))
    if given.write:
        write(found, ROOT / "docs/faults.md")
    if given.json:
        print(json.dumps(found))
    raise SystemExit(0 if all(one["bites"] for one in found) else 1)


def _told(one: dict[str, Any]) -> dict[str, Any]:
    named = ("fault", "lost", "lost_by_store", "lost_by_broker", "doubled", "crashed")
    shown = {key: one["lacking"][key] for key in named if key in one["lacking"]}
    sound = "" if one.get("sound", {"holds": True})["holds"] else f"; as it is it fails: {one['sound']}"
    print(f"{'bites' if one['bites'] else 'DOES NOT BITE'}: {one['act']}: {shown}{sound}", file=sys.stderr)
    return one


if __name__ == "__main__":
    main()
