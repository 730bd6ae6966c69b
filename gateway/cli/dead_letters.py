"""`glomska dead-letters`: what could not be stored, why, and what becomes of it.

`list` names nobody: an id of the letter's own, a reason, a time. `show` opens one, for a purpose, with an entry in the
access log. `replay` sends letters through the stages once more and removes what was stored; `drop` removes them unread.

    glomska dead-letters list --reason unknown_device
    glomska dead-letters replay --reason unknown_device
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli.failure import Interrupted
from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.cli.times import moment
from gateway.errors import UsageFault
from gateway.model.dead import DeadLetter, LetterKind
from gateway.model.sealed import Reason
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened
from gateway.transport.letters import EVERY, Wanted

if TYPE_CHECKING:
    from gateway.runtime.replay import Replayed

ACT = "drop-dead-letters"
_SECOND = 1_000_000_000
_MIB = 2**20

app = typer.Typer(help="What could not be stored: kept sealed for a while, with the reason why.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters by their ids, as `list` shows them.")]
Reasons = Annotated[list[Reason] | None, typer.Option("--reason", help="Only with this reason; may be repeated.")]
Owner = Annotated[str | None, typer.Option("--controller", metavar="NAME", help="Only of this controller.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only what arrived then or later.")]
Before = Annotated[str | None, typer.Option("--before", metavar="TIME", help="Only what arrived earlier.")]


@app.command("list")
def list_(
    reason: Reasons = None,
    controller: Owner = None,
    since: Since = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many are shown, oldest first.")] = 50,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List dead letters, oldest first: how many, why, since when. Names nobody."""
    with opened(load_settings(config), create=False) as house:
        wanted = _wanted(house, None, reason, controller, since, before)
        if not house.letters_file.exists():
            typer.echo(json.dumps({"letters": [], "total": 0, "by_reason": {}}) if as_json else "there are none yet")
            return
        letters, total = house.letters.find(wanted, limit=limit), house.letters.count(wanted)
        level = house.letters.level()
    if as_json:
        body = {"letters": [_row(one) for one in letters], "total": total, "by_reason": level.by_reason}
        typer.echo(json.dumps(body | {"used_bytes": level.used_bytes, "max_bytes": level.max_bytes}))
        return
    if letters:
        _show(letters)
    shown = f", {len(letters):,} of them shown" if len(letters) < total else ""
    what = "1 letter" if total == 1 else f"{total:,} letters"
    typer.echo(f"{what}{shown}; {level.used_bytes // _MIB:,} of {level.max_bytes // _MIB:,} MiB used")


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter's id, as `list` shows it.")],
    purpose: Annotated[str, typer.Option(help="What for; must see every quantity as measured, such as support.")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Open one letter for a purpose: topic and payload as they came. Stands in the access log.

    Exit code 5 when the purpose does not allow it or the customer is suspended, 7 when the key is gone.
    """
    with opened(load_settings(config), create=False) as house:
        found = _found(house, letter)
        if found.kind is LetterKind.POINT:
            raise UsageFault(
                "this letter is a sealed point, which the store refused", hint="replay it, then `glomska read`"
            )
        plain = house.access.letter(found, purpose=purpose)
    try:
        payload: dict[str, str] = {"payload": plain.payload.decode()}
    except UnicodeDecodeError:
        payload = {"payload_hex": plain.payload.hex()}
    body: dict[str, Any] = {**_row(found), "topic": plain.topic, "content_type": plain.content_type, **payload}
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    for name in ("arrived", "reason", "topic", "content_type", *payload):
        typer.echo(f"{name.replace('_', ' ')}: {'none' if body[name] is None else body[name]}")


@app.command()
def replay(
    ids: Ids = None,
    reason: Reasons = None,
    controller: Owner = None,
    since: Since = None,
    before: Before = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Send letters through admit and seal once more, and remove those that are stored.

    Worth it after devices were enrolled or the policy was changed. May be interrupted and repeated at any time, also
    beside a running gateway: nothing is stored twice. Exit code 4 when the store is away: the rest stays.
    """
    with opened(load_settings(config), create=False) as house:
        wanted = _wanted(house, ids, reason, controller, since, before)
        house.control.check()
        replayed = _replayed(house, wanted)
    if as_json:
        counts = {"replayed": replayed.stored, "dropped": replayed.gone, "remaining": dict(replayed.remaining)}
        typer.echo(json.dumps(counts))
        return
    gone = f", {replayed.gone:,} dropped since their key is gone" if replayed.gone else ""
    left = ", ".join(f"{number:,} {why}" for why, number in replayed.remaining.most_common())
    typer.echo(f"{replayed.stored:,} letters stored{gone}" + (f"; still refused: {left}" if left else ""))


@app.command()
def drop(
    ids: Ids = None,
    reason: Reasons = None,
    controller: Owner = None,
    since: Since = None,
    before: Before = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again. Needed where stdin is not a terminal.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Remove letters unread, for good. In the ledger, by their number."""
    with opened(load_settings(config), create=False) as house:
        wanted = _wanted(house, ids, reason, controller, since, before)
        if (wanted == EVERY) != everything:
            raise UsageFault("it is not said which letters", hint="give ids or a filter, or --all alone")
        _agreed(house.letters.count(wanted) if house.letters_file.exists() else 0, yes=yes)
        gone = 0
        if house.letters_file.exists():
            with house.control.act(ACT, reasons=sorted(map(str, wanted.reasons))) as act:
                gone = house.letters.drop(wanted)
                act.outcome["letters"] = gone
            house.letters.scrub()
    typer.echo(json.dumps({"dropped": gone}) if as_json else f"{gone:,} letters dropped")


def _agreed(number: int, *, yes: bool) -> None:
    """Raises UsageFault."""
    if yes or not number:
        return
    if not sys.stdin.isatty():
        raise UsageFault("this cannot be undone, and there is nobody to ask", hint="give --yes to drop without asking")
    if not typer.confirm(f"Drop {number:,} letters for good?", err=True):
        raise UsageFault("nothing was dropped", hint="repeat the command to be asked again")


def _replayed(house: House, wanted: Wanted) -> Replayed:
    """With a bar on stderr where that is a terminal. Raises what the replay raises."""
    ring = house.ring()
    console = Console(stderr=True)
    columns = (TextColumn("replayed"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("replay", total=house.letters.count(wanted) if house.letters_file.exists() else 0)

        def on_progress(replayed: Replayed) -> None:
            progress.update(task, completed=replayed.seen)
            ring.poll()

        work = house.replay(ring, house.chain())
        ring.register()
        try:
            return work.run(wanted, on_progress)
        except KeyboardInterrupt:
            raise Interrupted("interrupted", hint="what was stored is removed, the rest stays: repeat it") from None
        finally:
            ring.leave()


def _wanted(
    house: House,
    ids: list[str] | None,
    reasons: list[Reason] | None,
    controller: str | None,
    since: str | None,
    before: str | None,
) -> Wanted:
    """Raises UsageFault."""
    now = house.clock.wall()
    return Wanted(
        ids=tuple(_id(one) for one in ids or ()),
        reasons=tuple(reasons or ()),
        controller=controller,
        since=EVERY.since if since is None else _time("--since", since, now),
        until=EVERY.until if before is None else _time("--before", before, now),
    )


def _time(option: str, text: str, now: int) -> int:
    try:
        return moment(text, now=now)
    except ValueError:
        raise UsageFault(f"{option}: this is not a time", hint="write 2026-01-31, RFC 3339, or -24h") from None


def _id(text: str) -> bytes:
    try:
        letter_id = bytes.fromhex(text)
    except ValueError:
        letter_id = b""
    if len(letter_id) != 16:  # noqa: PLR2004 - bytes of an id
        raise UsageFault("this is not the id of a dead letter", hint="`glomska dead-letters list` shows them")
    return letter_id


def _found(house: House, text: str) -> DeadLetter:
    """Raises UsageFault."""
    wanted = Wanted(ids=(_id(text),))
    for letter in house.letters.find(wanted) if house.letters_file.exists() else ():
        return letter
    raise UsageFault("there is no such dead letter", hint="`glomska dead-letters list` shows those that there are")


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.letter_id.hex(),
        "arrived": _when(letter.arrived),
        "reason": str(letter.reason),
        "kind": str(letter.kind),
        "controller": letter.controller or None,
        "bytes": len(letter.sealed),
    }


def _show(letters: list[DeadLetter]) -> None:
    table = Table("id", "arrived", "reason", "kind", "controller", "bytes", box=None, pad_edge=False)
    for letter in letters:
        table.add_row(*("" if cell is None else str(cell) for cell in _row(letter).values()))
    screen().print(table)


def _when(time_ns: int) -> str:
    return dt.datetime.fromtimestamp(time_ns // _SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
