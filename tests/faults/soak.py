"""A site under load and random faults until so many of both have been: the books, memory and a report.

    python -m tests.faults.soak --faults 1000 --messages 2500000 --report docs/soak.md     # `make soak`
    python -m tests.faults.soak --faults 30 --messages 40000 --seed 7 --json               # as the tests run it

It makes namespaces of its own. Exit code 1: something was lost, doubled, wrong, or in the clear, or
memory grew beyond `MOST_MB`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.acts import ACTS
from tests.faults.books import Books, balance
from tests.faults.site import Site
from tests.faults.stream import Stream
from tests.netns import isolated

MOST_MB = 512.0  # all processes of the gateway, three workers at most
_REST_S = (0.0, 0.5)  # between two faults
_LONGER_REST_S = (3.0, 9.0)  # once there have been enough of them, until all messages are through
_SECONDS_A_FAULT = 1.5  # about what one takes: the least time that the load lasts


def soak(directory: Path, *, faults: int, messages: int, workers: int, seed: int, names: list[str]) -> dict[str, Any]:
    """Everything that is to be told of one run."""
    chance = random.Random(seed)
    started = time.time()
    stream = Stream(count=messages, start_ms=int(started * 1000) - (messages // 200 + 3_600) * 1000)
    done: Counter[str] = Counter()
    memory: list[float] = []
    acts: list[tuple[float, str]] = []
    with Site(directory, stream, workers=workers) as site:
        with site.publishing(rate=messages / faults / _SECONDS_A_FAULT) as publisher:
            while done.total() < faults or publisher.poll() is None:
                name = chance.choice(names)
                acts.append((round(time.monotonic() - site.tap.started, 1), name))
                ACTS[name](site, chance)
                done[name] += 1
                time.sleep(chance.uniform(*(_REST_S if done.total() < faults else _LONGER_REST_S)))
                memory.append(round(site.now_mb, 1))
                _progress(done.total(), faults, sum(site.tap.acknowledged), messages)
        site.settle()
        books = balance(site)
        clear = site.in_the_clear((b"sparrow-", b"finch-"))
    return {
        "seed": seed,
        "workers": workers,
        "faults": dict(sorted(done.items())),
        "messages": messages,
        "readings": 4 * messages,
        "seconds": round(time.time() - started),
        **dataclasses.asdict(books),
        "in_the_clear": clear,
        "gateway_ended": dict(Counter(map(str, site.ended))),
        "memory_mb": memory,
        "peak_mb": round(site.peak_mb, 1),
        "holds": holds(books) and not clear and site.peak_mb < MOST_MB,
    } | ({"acts": acts, "log": site.gateway.said} if books.lost else {})


def holds(books: Books) -> bool:
    """Whether the gateway has kept its word."""
    kept = books.lost == books.wrong == books.doubled == 0
    return (
        kept
        and books.stored + books.lost_by_broker + books.lost_by_store == books.valid
        and books.kept >= books.refused
    )


def _progress(done: int, faults: int, acknowledged: int, messages: int) -> None:
    if sys.stderr.isatty() or done % 50 == 0:
        print(
            f"\r{done} of {faults} faults, {acknowledged} of {messages} messages", end="", file=sys.stderr, flush=True
        )


def main() -> None:
    """Run, print, write the report."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    options.add_argument("--faults", type=int, default=1_000)
    options.add_argument("--messages", type=int, default=2_500_000, help="of four readings each")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", action="append", choices=sorted(ACTS), help="these faults; all, unless given")
    options.add_argument("--report", type=Path, help="Markdown file; a picture is written beside it")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    isolated("tests.faults.soak", sys.argv[1:])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has us ignore in the background
    with tempfile.TemporaryDirectory(prefix="glomska-soak-") as directory:
        told = soak(
            Path(directory),
            faults=given.faults,
            messages=given.messages,
            workers=given.workers,
            seed=given.seed,
            names=given.only or sorted(ACTS),
        )
    if given.report:
        from tests.faults.report import write  # noqa: PLC0415 - only a report needs its library

        write(told, given.report)
    print(json.dumps(told) if given.json else "\n".join(f"{key}: {value}" for key, value in told.items()))
    raise SystemExit(0 if told["holds"] else 1)


if __name__ == "__main__":
    main()
