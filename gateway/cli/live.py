"""What the demo shows while readings flow: a view that is drawn again in place, or, where no terminal is, plain lines.

    with showing(console, seconds=20) as show:
        show(scene)         # as often as you like; it draws when it is time to

The view is 17 lines of at most 100 cells, so that it fits into 80 × 24. Drawn by the thread that calls: no timer of its
own takes CPU time from what is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.cli.chart import sparkline

DRAW_EVERY, LINE_EVERY = 0.25, 2.0  # seconds
WIDEST = 100
PUBLISHING, DRAINING, DONE = "devices publish", "the last are on their way", "all settled"
_LABEL = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One moment. Rates in messages a second, oldest first; latencies in ms, None before the first."""

    phase: str
    elapsed: float = 0.0
    stored: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    latency: tuple[float, float] | None = None
    series: int = 0
    cpu_us: float | None = None
    sent: str = ""
    kept: str = ""


Show = Callable[[Scene], None]


@contextmanager
def showing(console: Console, *, seconds: int) -> Iterator[Show]:
    """A view on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield _Paced(LINE_EVERY, lambda scene: console.print(_line(scene), highlight=False, soft_wrap=True))
        return
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        width = min(console.width, WIDEST)
        yield _Paced(DRAW_EVERY, lambda scene: live.update(view(scene, seconds, width), refresh=True))


class _Paced:
    """Draws at most once in `every` seconds, and what is marked as the last in any case."""

    def __init__(self, every: float, draw: Callable[[Scene], None]) -> None:
        self._every = every
        self._draw = draw
        self._next = 0.0

    def __call__(self, scene: Scene) -> None:
        if time.monotonic() >= self._next or scene.phase == DONE:
            self._next = time.monotonic() + self._every
            self._draw(scene)


def view(scene: Scene, seconds: int, width: int) -> RenderableType:
    """The panel."""
    room = width - 4 - _LABEL - 2
    rows = Table.grid(padding=(0, 2), pad_edge=False)
    rows.add_column(style="dim", width=_LABEL)
    rows.add_column(width=room, no_wrap=True, overflow="ellipsis")
    refused = sum(scene.refused.values())
    rows.add_row("messages", Text.assemble((f"{scene.stored:,}", "bold green"), f" stored   {refused:,} refused"))
    rows.add_row("a second", Text.assemble(_rate(scene), "  ", (sparkline(scene.rates, room - 8), "cyan")))
    rows.add_row("latency", Text.assemble(*_latency(scene)))
    rows.add_row("series", f"{scene.series:,} pseudonyms, one for each device and month")
    rows.add_row("gateway", _cpu(scene))
    rows.add_row("", "")
    rows.add_row("refused", _reasons(scene, room))
    rows.add_row("", "")
    grid = Group(rows, *_pair(scene, width - 4))
    done = min(scene.elapsed / seconds, 1.0)
    return Panel(grid, title=f"[bold]readings flow[/] · {scene.phase}", subtitle=_bar(done, seconds), width=width)


def _rate(scene: Scene) -> str:
    return f"{scene.rates[-1] if scene.rates else 0:>6,.0f}"


def _latency(scene: Scene) -> tuple[str | tuple[str, str], ...]:
    if scene.latency is None:
        return ("not measured yet",)
    median, worst = scene.latency
    figures = (f"{median:.0f} ms", "bold"), " median, ", (f"{worst:.0f} ms", "bold")
    return (*figures, " for 99 in 100: from the device to the disk")


def _cpu(scene: Scene) -> str:
    return "" if scene.cpu_us is None else f"{scene.cpu_us:.0f} µs of CPU time a message"


def _reasons(scene: Scene, room: int) -> Text:
    """All reasons, the most frequent first, on as many lines as they need."""
    lines = [""]
    for reason, count in sorted(scene.refused.items(), key=lambda pair: -pair[1]):
        word = f"{reason} {count:,}"
        longer = f"{lines[-1]}   {word}" if lines[-1] else word
        if len(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return Text("\n".join(lines), "yellow")


def _pair(scene: Scene, room: int) -> Iterator[RenderableType]:
    """What a device sent, and what the store holds of it."""
    yield Text("one real home’s meter sends", "dim")
    yield _cut(scene.sent, room, "green")
    yield Text("and this is all that the store holds of it", "dim")
    yield _cut(scene.kept, room, "magenta")


def _cut(words: str, room: int, style: str) -> Text:
    text = Text("  " + words, style, no_wrap=True)
    text.truncate(room, overflow="ellipsis")
    return text


def _bar(done: float, seconds: int) -> Text:
    cells = 30
    full = round(done * cells)
    return Text.assemble(("━" * full, "green"), ("━" * (cells - full), "dim"), f" {done * seconds:.0f} of {seconds} s")


def _line(scene: Scene) -> str:
    latency = "" if scene.latency is None else f", latency {scene.latency[0]:.0f} ms (p99 {scene.latency[1]:.0f} ms)"
    rate = f"{scene.rates[-1] if scene.rates else 0:,.0f} a second"
    refused = sum(scene.refused.values())
    return f"  {scene.elapsed:4.0f} s   {scene.stored:,} stored, {refused:,} refused, {rate}{latency}"
