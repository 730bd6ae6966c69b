"""What `glomska doctor` looks at: one function a check, each says what it found or raises what is wrong.

A check changes nothing and makes no file: a doctor who is called as root must not leave files that the gateway's own
user cannot open. Where something is not there yet, that is said and is no fault, unless something else says that it
was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from gateway.cli.erase import is_running
from gateway.control.backup import DUE_DAYS
from gateway.control.backup import newest as newest_backup
from gateway.control.certificate import lost
from gateway.control.erasure import Step
from gateway.control.ledger import Ledger
from gateway.control.operations import living_days
from gateway.control.role import require_current, require_ledger
from gateway.errors import (
    ConfigurationFault,
    CustodianFault,
    GlomskaError,
    IntegrityStop,
    NotThere,
    Unreachable,
    VerificationFailed,
)
from gateway.keys.lineage import Lineage
from gateway.keystore import acts, lineages, subjects, workers
from gateway.model.dead import day_of
from gateway.model.ids import Controller
from gateway.policy.load import check as findings_of
from gateway.runtime.leftovers import drained_by
from gateway.runtime.wiring import House
from gateway.transport.spool import Waiting

_OTHERS = 0o077
_SECOND = 1_000_000_000
_OLDEST = dt.datetime(2025, 1, 1, tzinfo=dt.UTC).timestamp()  # this program is younger
_NEARLY_FULL = 0.8
_DAY = 86_400 * _SECOND
_OVERDUE = _DAY  # a store that was away for a night is no alarm here
_SET_BACK_S = 60.0  # how far a clock may be behind the ledger's last line
_NOT_YET = "not there yet: `glomska enrol` makes it"


def _primitives(house: House) -> str:
    house.self_test()
    return "known answers of HKDF, AES-256-GCM-SIV and HMAC come out right"


def _configuration(house: House) -> str:
    return str(house.settings.file)


def _policy(house: House) -> str:
    warnings = sum(level == "warning" for level, _text in findings_of(house.policy))
    more = f"; {warnings} warnings, see `glomska policy check`" if warnings else ""
    return f"{house.settings.policy}, schema {house.policy.schema}, {len(house.policy.purposes)} purposes{more}"


def _areas(house: House) -> str:
    return f"{house.settings.areas}, {len(house.areas.names)} ranges of postal codes"


def _state(house: House) -> str:
    path = house.settings.state
    if not path.exists():
        return f"{path} is {_NOT_YET}"
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationFault(f"{path} is no directory", hint="name a directory in `state`")
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise ConfigurationFault(f"{path} is open to other users (mode {mode})", hint=f"chmod 700 {path}")
    return f"{path}, mode {stat.S_IMODE(found.st_mode):04o}, owner {_owner(path)}"


def _custodian(house: House) -> str:
    if not _has_keys(house):
        return _NOT_YET
    with house.keystore.snapshot() as tx:
        names = lineages.all_controllers(tx)
        for name in names:
            Lineage.load(tx, house.custodian, name)
    for directory in _key_directories(house):
        if names and stat.S_IMODE(directory.stat().st_mode) & _OTHERS:
            raise CustodianFault(f"{directory} is open to other users", hint=f"chmod 700 {directory}")
    return f"opens the keys of {len(names)} controller(s)"


def _keystore(house: House) -> str:
    if not _has_keys(house):
        return _NOT_YET
    with house.keystore.snapshot() as tx:
        known = len(lineages.all_controllers(tx))
    if weaknesses := house.keystore.weaknesses():
        message = f"the key store can lose what it has committed: {', '.join(weaknesses)}"
        raise ConfigurationFault(message, hint="set these to on in postgresql.conf, and reload it")
    made = newest_backup(house.settings.state / "backups")
    due = known and (made is None or house.clock.wall() - made > DUE_DAYS * _DAY)
    more = "; a backup is due: `glomska keys backup`" if due else ""
    return f"{house.settings.keys.url}, {known} controller(s){more}"


def _ledger(house: House) -> str:
    if house.settings.ledger.elsewhere:
        require_current(house.keystore, house.custodian)
        return "on another machine, which does all acts on keys"
    directory = house.settings.state / house.settings.ledger.path
    written = (directory / "ledger.jsonl").exists()
    if not written and _has_keys(house):
        require_ledger(house.keystore, directory)
    if written and not _has_keys(house) and Ledger(directory, house.clock).verify() > 1:
        raise IntegrityStop("the key store is missing: the ledger knows acts on its keys")
    if not written or not _has_keys(house):
        return _NOT_YET
    house.control.check()
    _require_fences(house)
    return f"{house.control.ledger.verify()} lines, chain whole, agrees with the key store"


def _require_fences(house: House) -> None:
    """The fence file has all that the key store has: a recovery has nothing else to go by."""
    ledger, hint = house.control.ledger, "`glomska keys turnover` writes it anew from the key store"
    with ledger.locked(), house.keystore.snapshot() as tx:
        missing = {fence.fence_id.hex() for fence in subjects.all_fences(tx)}
        try:
            missing -= {str(line["fence"]) for line in ledger.read_fences()}
        except IntegrityStop as fault:
            raise IntegrityStop(str(fault), hint=hint) from None
    if missing:
        raise IntegrityStop(f"the fence file lacks {len(missing)} fences, which a recovery would forget", hint=hint)


def _store(house: House) -> str:
    file = _file(house, house.settings.store.url)
    if file is not None and not file.exists():
        return f"{file} is not there yet: `glomska run` makes it"
    health = house.store.health()
    if not health.ok:
        raise Unreachable(health.detail, hint=health.hint or None)
    return health.detail


def _broker(house: House) -> str:
    """Under a name and with a session of its own, which ends with it: the gateway's is not disturbed.

    Asks for what the gateway asks for, neither more nor less, since a broker's access list may know the difference.
    """
    host, port = house.settings.mqtt.address
    filters, whose = house.topics.filters, ""
    if house.settings.mqtt.connection_per == "controller":
        names = sorted(house.connected() if _has_keys(house) else house.settings.mqtt.controllers)
        if not names:
            return f"nothing is subscribed to at {host}:{port} yet: `glomska enrol` makes the first controller"
        filters = tuple(dict.fromkeys(one for name in names for one in house.topics.filters_of(Controller(name))))
        whose = f" of {len(names)} controller(s)"
    name, asked_s = f"doctor-{secrets.token_hex(8)}", house.settings.mqtt.session_expiry_s
    kept_s = house.receiving.kept_s(client_id=name, filters=filters)
    session = house.receiving.apart(lambda _state: None, client_id=name, session_expiry_s=1, filters=filters)
    try:
        session.connect()
    finally:
        session.close()
    if kept_s < asked_s:
        raise ConfigurationFault(
            f"{host}:{port} keeps a session for {kept_s} s, not {asked_s} s: what it holds is lost when the gateway is "
            "away for longer",
            hint="raise the broker's limit, or lower mqtt.session_expiry_s",
        )
    return f"{host}:{port} takes the subscription{whose} with QoS 1"


def _clock(house: House) -> str:
    now = house.clock.wall() / _SECOND
    hint = "set the clock, with NTP if possible: event times, consents and retention are judged by it"
    if now < _OLDEST:
        raise ConfigurationFault("the clock is before this program was written", hint=hint)
    if (house.settings.state / house.settings.ledger.path / "ledger.jsonl").exists() and _has_keys(house):
        with contextlib.suppress(IntegrityStop):  # which the ledger's own check tells
            written = dt.datetime.fromisoformat(str(house.control.ledger.head.body["time"])).timestamp()
            if now < written - _SET_BACK_S:
                raise ConfigurationFault(f"the clock is {written - now:.0f} s behind the ledger's last line", hint=hint)
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _erasures(house: House) -> str:
    if not _has_keys(house):
        return "none"
    with house.keystore.snapshot() as tx:
        waiting = acts.open_erasures(tx, done=Step.PURGED)
        running = any(is_running(worker, house.clock.boottime()) for worker in workers.find_all(tx))
    early = sum(Step(erasure.step) in {Step.FENCED, Step.DELETED} for erasure in waiting)
    if early and not running:
        message = f"{early} erasure(s) were begun, are not effective, and no gateway runs to carry them on"
        raise Unreachable(message, hint="start `glomska run`")
    gone = _certificates_gone(house)
    if not waiting:
        return f"none open{gone}"
    doing = "the running gateway does" if running else "start `glomska run`"
    return f"{len(waiting)} to delete rows for again; {doing}{gone}"


def _certificates_gone(house: House) -> str:
    """Said, and no fault: they may have been given away, and nothing of the gateway waits for them."""
    directory = house.settings.state / "certificates"
    with house.keystore.snapshot() as tx:
        gone = sum(len(lost(directory, erasure)) for erasure in acts.all_erasures(tx))
    if not gone or house.settings.ledger.elsewhere:  # they are where the ledger is
        return ""
    return f"; {gone} certificates are gone from {directory}, or changed: bring them back from their copy"


def _letters(house: House) -> str:
    if not house.letters_file.exists():
        return "none"
    level, now = house.letters.level(), house.clock.wall()
    share = level.used_bytes / level.max_bytes
    days = "" if level.oldest is None else f", the oldest {max(0, now - level.oldest) / _DAY:.1f} days old"
    detail = f"{level.letters} kept{days}; {share:.0%} of {level.max_bytes // 2**20} MiB used"
    if share > _NEARLY_FULL:
        raise Unreachable(detail, hint="see `glomska dead-letters list`; when it is full, nothing is acknowledged")
    if _has_keys(house):
        with house.keystore.snapshot() as tx:
            running = any(is_running(worker, house.clock.boottime()) for worker in workers.find_all(tx))
            known, days_of_keys = lineages.all_controllers(tx), living_days(tx)
        if running and known and day_of(now) not in days_of_keys:
            raise Unreachable("today's operations key is missing", hint="see what `glomska run` says of housekeeping")
    return detail


def _spools(house: House) -> str:
    found = house.spools.report()
    waiting = sum(one.points for one in found)
    for fault in (_damaged(found), _overdue(house, found), _nearly_full(house, found), _left_over(house, found)):
        if fault is not None:
            raise fault
    if not waiting:
        return "nothing waits" if found else "none"
    return f"{waiting} readings wait for the store in {len(found)} spool(s)"


def _damaged(found: list[Waiting]) -> GlomskaError | None:
    places = {one.worker: one.damaged for one in found if one.damaged and not one.held}
    if not places:
        return None
    return VerificationFailed(
        f"{sum(places.values())} places are damaged in the spool of {', '.join(places)}",
        hint="look at the disk; what can be read is drained, and what cannot is skipped and counted",
    )


def _overdue(house: House, found: list[Waiting]) -> GlomskaError | None:
    since = min((one.since for one in found if one.since is not None), default=None)
    if since is None or house.clock.wall() - since < _OVERDUE:
        return None
    days = (house.clock.wall() - since) / _DAY
    hint = "see that the store takes what it is sent and that `glomska run` runs; or drain it: `glomska spool drain`"
    return Unreachable(f"readings have waited for the store for {days:.1f} days", hint=hint)


def _nearly_full(house: House, found: list[Waiting]) -> GlomskaError | None:
    limit = house.settings.spool.max_bytes
    full = [one for one in found if limit and one.bytes > _NEARLY_FULL * limit]
    if not full:
        return None
    said = ", ".join(f"{one.worker} {one.bytes / limit:.0%}" for one in full)
    hint = "see that the store takes what is sent, or raise spool.max_bytes; when one is full, nothing is acknowledged"
    return Unreachable(f"spools are nearly full: {said}", hint=hint)


def _left_over(house: House, found: list[Waiting]) -> GlomskaError | None:
    """Of a gateway that had another name: the one that runs here leaves it alone."""
    ours = drained_by(house.settings.mqtt.client_id)
    left = [one.worker for one in found if one.points and not one.held and not ours.fullmatch(one.worker)]
    if not left:
        return None
    names = ", ".join(left)
    message = f"readings wait in the spool of {names}, which no worker drains: mqtt.client_id is another one now"
    return Unreachable(message, hint="`glomska spool drain NAME` brings them to the store")


def _workers(house: House) -> str:
    if not _has_keys(house):
        return "none"
    with house.keystore.snapshot() as tx:
        found = workers.find_all(tx)
    running = sum(is_running(worker, house.clock.boottime()) for worker in found)
    gone = f", {len(found) - running} registered without a lease that holds" if len(found) > running else ""
    return f"{running} running{gone}"


CHECKS: dict[str, Callable[[House], str]] = {
    "self-test": _primitives,
    "configuration": _configuration,
    "policy": _policy,
    "areas": _areas,
    "clock": _clock,
    "state directory": _state,
    "key store": _keystore,
    "custodian": _custodian,
    "ledger": _ledger,
    "store": _store,
    "broker": _broker,
    "spools": _spools,
    "dead letters": _letters,
    "erasures": _erasures,
    "workers": _workers,
}
"""By name, in the order in which they are made and shown."""


def _has_keys(house: House) -> bool:
    file = _file(house, house.settings.keys.url)
    if file is not None:
        return file.exists()
    try:
        return bool(house.keystore)
    except NotThere:  # a database without tables
        return False


def _file(house: House, url: str) -> Path | None:
    """The file of an SQLite URL, None for a server."""
    scheme, _, rest = url.partition(":///")
    return house.settings.state / rest if scheme == "sqlite" else None


def _key_directories(house: House) -> list[Path]:
    """Where custodians that are files keep them."""
    keys = house.settings.keys
    named = [url.partition(":") for url in (keys.custodian, keys.recovery) if url]
    return [house.settings.state / where for scheme, _, where in named if scheme == "file"]


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)
