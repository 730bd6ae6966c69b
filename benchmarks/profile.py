"""Where the time of the gateway's path goes: `python -m benchmarks.profile [--markdown]`.

One thread, no servers: the stages that turn received bytes into line protocol, each on its own over the same batch of
5,000 messages, in µs of CPU a message; the best of `--rounds`, which is what the code takes when nobody disturbs it.
What is left out is what the kernel does for sockets, the HTTP client, the threads, and waiting.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks.batch import MAX_PAYLOAD_BYTES, POINTS, Batch
from gateway.model.clear import Refusals
from gateway.model.sealed import SealedPoint
from gateway.pipeline.chain import Chain
from gateway.transport import lineprotocol
from gateway.transport.ingest.stream import READ_BYTES, Reader, pubacks

ROUNDS = 30
Times = dict[str, float]
T = TypeVar("T")


def stages(rounds: int) -> Times:
    """Stage -> µs of CPU a message, in the order of the path."""
    batch = Batch()
    chain = Chain(batch.policy, max_payload_bytes=MAX_PAYLOAD_BYTES)
    best: Times = {}
    for _ in range(rounds):
        for stage, seconds in _walk(batch, chain).items():
            best[stage] = min(seconds / POINTS * 1e6, best.get(stage, float("inf")))
    return best


def _walk(batch: Batch, chain: Chain) -> Times:
    """Stage -> seconds for the whole batch."""
    taken: Times = {}
    refusals, points, owners = Refusals(), list[SealedPoint](), list[int]()
    tokens = _timed(taken, "receive: MQTT packets from the stream", lambda: _receive(batch.stream))
    readings = _timed(taken, "decode: JSON to columns", lambda: chain.decode(batch.arrivals, batch.now, refusals))
    admitted = _timed(
        taken, "admit: range, window, purpose", lambda: chain.admit(readings, batch.devices, batch.now, refusals)
    )
    (nameless,) = _timed(taken, "pseudonymise: rows to series", lambda: chain.pseudonymise(admitted))
    _timed(taken, "seal: pack, AES-256-GCM-SIV, base64url", lambda: chain.seal(nameless, points, owners))
    lines, refused = _timed(taken, "lines: line protocol", lambda: lineprotocol.render(points))
    _timed(taken, "acknowledge: PUBACKs in one piece", lambda: pubacks(tokens))
    if len(points) != POINTS or refusals.readings or refused or lines.count(b"\n") != POINTS - 1:
        raise RuntimeError("the batch lost readings on its way; the times would be of something else")
    return taken


def _timed(taken: Times, stage: str, work: Callable[[], T]) -> T:
    begun = time.thread_time()
    result = work()
    taken[stage] = time.thread_time() - begun
    return result


def _receive(stream: bytes) -> list[int]:
    reader, tokens = Reader(MAX_PAYLOAD_BYTES), list[int]()
    for at in range(0, len(stream), READ_BYTES):
        piece = stream[at : at + READ_BYTES]
        reader.room()[: len(piece)] = piece
        tokens += reader.decode(len(piece)).tokens
    return tokens


def markdown(times: Times) -> str:
    """A table for docs/."""
    total = sum(times.values())
    rows = [f"| {stage} | {us:.2f} | {us / total:.0%} |" for stage, us in times.items()]
    return "\n".join(["| stage | µs a message | share |", "|---|---:|---:|", *rows, f"| **all** | **{total:.2f}** | |"])


def table(times: Times) -> Table:
    """For people."""
    total = sum(times.values())
    shown = Table(title=f"one batch of {POINTS:,} messages, four quantities", show_footer=True)
    shown.add_column("stage", "all")
    shown.add_column("µs a message", f"{total:.2f}", justify="right")
    shown.add_column("share", justify="right")
    for stage, us in times.items():
        shown.add_row(stage, f"{us:.2f}", f"{us / total:.0%}")
    return shown


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--markdown", action="store_true", help="a Markdown table, for docs/")
    given = options.parse_args()
    times = stages(given.rounds)
    if given.markdown:
        print(markdown(times))
    else:
        Console().print(table(times))


if __name__ == "__main__":
    main()
