"""The text of docs/performance.md, of figures: see `report`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks import ingest, profile
from benchmarks.messages import DEVICES
from benchmarks.rig import Row

_NAMES = {
    "glomska": "Glömska",
    "plain": "plain pipeline",
    "node-red": "Node-RED 4.1",
    "telegraf": "Telegraf",
    "vector": "Vector",
    "idle-subscriber": "idle subscriber",
}
_STORES = {
    "influxdb": "InfluxDB 1.6",
    "influxdb1": "InfluxDB 1.6",
    "free": "free store",
    "victoriametrics": "VictoriaMetrics 1.79",
}
_PEERS = """\
- *Plain* is what most would write: paho-mqtt, `json`, an HMAC, and influxdb-client `Point` batches. It acknowledges before
  it stores, and seals nothing. *Node-RED* is a flow of its own nodes: mqtt in, a function with an HMAC, a join of 5,000
  lines, an HTTP request; it acknowledges on arrival, too. Both are in `benchmarks/peers`, with configurations for Telegraf
  and Vector, which are run where they are installed.
- The *free store* answers like InfluxDB and keeps nothing: what is left is the gateway's own cost, rendering and HTTP
  included. The *idle subscriber* reads with the same codec, acknowledges, and does nothing else.
- Latency is from publish to stored, at 1,000 messages a second. Memory is the peak under full load.
"""


_WHY = {
    "rate into the free store, part of the idle subscriber's": "the broker is what is slow, on the same two cores; what the\n  gateway takes of them the broker has not ([ADR 0010](adr/0010-ingest-waits-for-chunks.md)).",
    "messages a CPU second, times Node-RED": "Node-RED keeps no key, seals nothing and acknowledges on arrival; a message "
    "that is\n  sealed and then acknowledged costs at least the stages below, of which the cipher itself is the most "
    "([ADR 0033](adr/0033-what-a-message-costs.md)).",
    "CPU a message of two workers, times one": "each gets half of the stream, so its chunks and requests are half as large, and "
    "opens the\n  keys of all devices; twice the threads share cores and caches that broker and store fill already "
    "([ADR 0043](adr/0043-what-a-second-worker-costs.md)).",
    "memory at 1,000 devices, peak under full load, MB": "what is in flight comes on top: chunks, batches and requests of up "
    "to 5,000 messages.",
}
_ELSEWHERE = """\
Elsewhere: a small box at 100 messages a second, turnover of a million keys beside ingest, and erasure with workers that are
stopped, each with its command, in [operations](operations.md)."""
_SCALE_HEAD = (
    "| µs a message | first message of a device, µs more | memory, MB | erasure effective, ms | key store, MB |"
)
_KINDS = {
    "devices": (
        "devices that send",
        "By devices: all of them send, and are of a thousand customers; into the free store.",
    ),
    "customers": (
        "customers enrolled",
        "By customers: with one device each, of which a thousand send, spread over all; into the free store.",
    ),
    "history": (
        "readings stored before",
        "By history: so many readings of one customer are in InfluxDB 1.6; a thousand devices send.",
    ),
}


def page(found: Any, rows: Sequence[Row]) -> str:  # noqa: ANN401 - JSON
    """Markdown."""
    parts = [_head(found), _table(rows), _PEERS + _absent(found) + _once(found), _spread(found), _targets(found, rows)]
    return "\n\n".join([*parts, *_profile(found), _scale(found), *_readback(found), _repeat(found)]) + "\n"


def _head(found: Any) -> str:  # noqa: ANN401 - JSON
    machine, rounds = found["machine"], max(map(len, found["rounds"].values()))
    return f"""\
# Performance

<!-- Written by `python -m benchmarks.report`, from docs/performance.json. Change the figures by measuring. -->

What the gateway costs, and against what. One run of the rig, all pipelines on the same {found["messages"]:,} messages (flat
JSON of about 110 bytes, four quantities, 1,000 devices, QoS 1); {rounds} {"round" if rounds == 1 else "rounds in turn, medians"}. Publisher, broker
(Mosquitto 2.0), pipeline and store share one machine of {machine["cores"]} cores ({machine["model"]}, {machine["architecture"]},
{machine["memory_gb"]} GB, Linux {machine["kernel"]}, Python {machine["python"]}), on {machine["day"]}; its load average before the run was {machine["load_before"]}.

![CPU time a message and messages a second of each pipeline](ingest.svg)"""


def _once(found: Any) -> str:  # noqa: ANN401 - JSON
    """What is in the figures although it happens once, by what `benchmarks.scale` found it to be."""
    said = "- CPU is counted from the moment when a pipeline is subscribed, of all its processes: no start-up is in. What happens"
    said += "\n  once a device is in: keys are opened, ratcheted and derived when its first message comes"
    first = next((size["first_us"] for size in found["scale"].get("devices", []) if size["size"] == DEVICES), None)
    if first is None:
        return said + "."
    share = first * DEVICES / found["messages"]
    return (
        f"{said}, for {first:.0f} µs, which is\n  {share:.2f} of the µs a message above, and twice as much with two "
        "workers, each of which sees all devices."
    )


def _absent(found: Any) -> str:  # noqa: ANN401 - JSON
    """Who has no row."""
    ran = {key.partition(":")[0] for key in found["rounds"]}
    return "".join(
        f"- *{name}* was not installed here, and has no row.\n" for key, name in _NAMES.items() if key not in ran
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| pipeline | store | CPU µs a message | messages a second | latency p50 / p99, ms | peak memory, MB |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        latency = "–" if row.p50_ms is None or row.p99_ms is None else f"{row.p50_ms:.0f} / {row.p99_ms:.0f}"
        lines.append(
            f"| {_named(row.pipeline)} | {_STORES.get(row.store, row.store)} | {row.cpu_us_per_message:.2f} "
            f"| {row.messages_per_second:,.0f} | {latency} | {row.peak_rss_mb:.0f} |"
        )
    return "\n".join(lines)


def _named(pipeline: str) -> str:
    name, _, more = pipeline.partition(", ")
    return _NAMES.get(name, name) + (f", {more}" if more else "")


def _spread(found: Any) -> str:  # noqa: ANN401 - JSON
    said = []
    for rounds in found["rounds"].values():
        costs = [row["cpu_us_per_message"] for row in rounds]
        name, store = _named(rounds[0]["pipeline"]), rounds[0]["store"]
        said.append(f"{name} ({_STORES.get(store, store)}) {min(costs):.2f} to {max(costs):.2f}")
    told = "CPU µs a message, lowest to highest round: " + "; ".join(said) + "."
    most = max(map(len, found["rounds"].values()))
    fewer = [(rounds[0], len(rounds)) for rounds in found["rounds"].values() if len(rounds) < most]
    return told + "".join(
        f" Of {_named(first['pipeline'])} {number} of the {most} rounds {'is' if number == 1 else 'are'} in: one in which it fails, "
        "or has not stored each message once, is left out."
        for first, number in fewer
    )


def _targets(found: Any, rows: Sequence[Row]) -> str:  # noqa: ANN401 - JSON
    """Every target with what was measured, met or not."""
    lines = ["## Against the targets", "", "| what | target | measured | |", "|---|---:|---:|---|"]
    judged = _judged(found, rows)
    for what, target, value, met in judged:
        lines.append(
            f"| {what} | {target} | {value} | {'met' if met else 'missed' if met is not None else 'not measured'} |"
        )
    why = [f"- *{what}*: {_WHY[what]}" for what, _target, _value, met in judged if met is False and what in _WHY]
    if why:
        lines += ["", "Why what is missed is:", "", *why]
    return "\n".join([*lines, "", _ELSEWHERE])


def _judged(found: Any, rows: Sequence[Row]) -> list[tuple[str, str, str, bool | None]]:  # noqa: ANN401 - JSON
    by = {(row.pipeline, row.store): row for row in rows}
    ours, free = by.get(("glomska", "influxdb")), by.get(("glomska", "free"))
    two = by.get(("glomska, 2 workers", "influxdb"))
    judged = [
        _most("CPU a message into InfluxDB, µs", 6.0, _of(ours, "cpu_us_per_message")),
        _most("CPU a message into a store that costs nothing, µs", 5.0, _of(free, "cpu_us_per_message")),
        _least("rate into InfluxDB, part of the idle subscriber's", 0.70, ingest.share_of_idle(ours, rows)),
        _least("rate into the free store, part of the idle subscriber's", 0.95, ingest.share_of_idle(free, rows)),
        _least("messages a CPU second, times the plain pipeline", 10, ingest.cpu_ratio(ours, rows, "plain")),
        _least("messages a CPU second, times Node-RED", 8, ingest.cpu_ratio(ours, rows, "node-red")),
        _most("CPU a message of two workers, times one", 1.1, _times(two, ours)),
        _most("latency p50, ms", 60, _of(ours, "p50_ms")),
        _most("latency p99, ms", 250, _of(ours, "p99_ms")),
    ]
    devices = found["scale"].get("devices", [])
    judged.append(_most("memory at 1,000 devices, resident after the load, MB", 100, _memory_of_a_thousand(devices)))
    judged.append(_most("memory at 1,000 devices, peak under full load, MB", 100, _of(ours, "peak_rss_mb")))
    judged.append(_most("memory a further active device, kB", 1.2, _slope_kb(devices)))
    judged.append(_most("erasure effective, the slowest of all sizes below, s", 2, _slowest_erasure(found["scale"])))
    if found["readback"]:
        judged.append(_most("a year of minute data of one device read back, s", 3, found["readback"]["seconds"]))
    return judged


def _of(row: Row | None, figure: str) -> float | None:
    value: float | None = getattr(row, figure) if row else None
    return value


def _times(one: Row | None, other: Row | None) -> float | None:
    return one.cpu_us_per_message / other.cpu_us_per_message if one and other else None


def _most(what: str, target: float, value: float | None) -> tuple[str, str, str, bool | None]:
    return what, f"≤ {target:g}", "–" if value is None else f"{value:.2f}", None if value is None else value <= target


def _least(what: str, target: float, value: float | None) -> tuple[str, str, str, bool | None]:
    return what, f"≥ {target:g}", "–" if value is None else f"{value:.2f}", None if value is None else value >= target


def _memory_of_a_thousand(devices: Sequence[Any]) -> float | None:
    return next((float(size["memory_mb"]) for size in devices if size["size"] == 1000), None)


def _slowest_erasure(scale: Any) -> float | None:  # noqa: ANN401 - JSON
    taken = [size["erase_ms"] / 1000 for kind in _KINDS for size in scale.get(kind, [])]
    return max(taken, default=None)


def _slope_kb(devices: Sequence[Any]) -> float | None:
    """Memory a device, from the second largest to the largest size."""
    if len(devices) < 2:
        return None
    low, high = devices[-2], devices[-1]
    return float((high["memory_mb"] - low["memory_mb"]) * 1024 / (high["size"] - low["size"]))


def _profile(found: Any) -> list[str]:  # noqa: ANN401 - JSON
    if not found["profile"]:
        return []
    seal = found["profile"][next(stage for stage in found["profile"] if stage.startswith("seal"))]
    total = sum(found["profile"].values())
    return [
        f"""\
## Where the time goes

`python -m benchmarks.profile`: the stages alone, in one process, on a batch of 5,000 messages; the best of its rounds.

{profile.markdown(found["profile"])}

{seal / total:.0%} is sealing, most of it in the library's AES-256-GCM-SIV itself. What the whole process takes beyond
this sum is the kernel's share of receiving, HTTP to the store, first look-ups, and caches that four programs on two
cores share. What was tried, and what did not help: [ADR 0033](adr/0033-what-a-message-costs.md)."""
    ]


def _scale(found: Any) -> str:  # noqa: ANN401 - JSON
    lines = [
        "## What the cost depends on",
        "",
        "![CPU time, memory, first messages and erasure by number of devices, customers and readings](scale.svg)",
        "",
        "`python -m benchmarks.scale`. Memory is what is resident after the load, of the gateway alone; a first message is",
        "one of a device that the gateway has not seen since it started.",
        *_apart(found, "scale"),
    ]
    for kind, (what, said) in _KINDS.items():
        hour = "" if kind != "history" else " an hour of it read, s |"
        lines += [
            "",
            said,
            "",
            f"| {what} {_SCALE_HEAD}{hour}",
            "|---:|---:|---:|---:|---:|---:|" + "---:|" * bool(hour),
        ]
        lines += [
            _size(size) + (f" {size['read_hour_s']:.2f} |" if hour else "") for size in found["scale"].get(kind, [])
        ]
    lines += [
        f"\nLeft out: {left['size']:,} {_KINDS[left['kind']][0]}: {left['why']}."
        for left in found["scale"].get("left_out", [])
    ]
    return "\n".join(lines)


def _size(size: Any) -> str:  # noqa: ANN401 - JSON
    return (
        f"| {size['size']:,} | {size['message_us']:.2f} | {size['first_us']:.0f} | {size['memory_mb']:,.0f} "
        f"| {size['erase_ms']} | {size['key_store_mb']:,.0f} |"
    )


def _apart(found: Any, part: str) -> list[str]:  # noqa: ANN401 - JSON
    """Where a part was not measured with the others: when it was."""
    told = found.get("apart", {}).get(part)
    if not told:
        return []
    minutes = round(told["seconds"] / 60)
    return [
        f"Measured apart, on {told['day']}, in {minutes} minutes; the load average before was {told['load_before']}, of several runs the highest."
    ]


def _readback(found: Any) -> list[str]:  # noqa: ANN401 - JSON
    told = found["readback"]
    if not told:
        return []
    shares = ", ".join(f"{name} {share:.0%}" for name, share in told["share"].items())
    return [
        f"""\
## Reading back

`python -m benchmarks.readback`: a year of minute data of one device, {told["points"]:,} sealed points, from
{_STORES.get(told["store"], told["store"])} to a table of {told["rows"]:,} readings in {told["seconds"]:.2f} s, of which the command's own process
takes {told["cpu_seconds"]:.2f} s of CPU: {shares}."""
    ]


def _repeat(found: Any) -> str:  # noqa: ANN401 - JSON
    minutes = round(found["seconds"] / 60)
    longest = max(statistics.median(r["messages_per_second"] for r in rounds) for rounds in found["rounds"].values())
    return f"""\
## Again, on your machine

```
make bench                                                                  # micro benchmarks, then all of this page
python -m benchmarks.ingest --messages {found["messages"]} --repeat 3 --json      # the comparison alone
python -m benchmarks.report --measure --only scale --minutes 30             # one part, the others as they are kept
```

This page took {minutes} minutes. Measure on a machine that does nothing else: the broker and the gateway keep both cores busy
at {longest:,.0f} messages a second, and whatever runs beside costs the gateway more than pipelines that leave a core idle."""
