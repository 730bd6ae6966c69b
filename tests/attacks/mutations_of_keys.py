"""Defences of key bytes, and of what they name, taken out one by one: see `mutations`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cli import failure
from gateway.control import enrolment
from gateway.control.chain import Value
from gateway.control.ledger import Ledger
from gateway.crypto import envelope
from gateway.crypto.secret import Secret
from gateway.errors import GlomskaError
from gateway.keys import handle, lineage
from gateway.keys.lineage import Lineage
from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.model.ids import KeyId
from gateway.runtime import wiring
from gateway.runtime.log import Log
from tests.attacks.mutations import Patch, kills
from tests.attacks.mutations_of_erasure import the_route_stays


@kills("10", "test_no_core_is_dumped")
def cores_are_dumped(patch: Patch, _part: str) -> None:
    """The process is as the system makes it."""
    patch.setattr(wiring, "limits", SimpleNamespace(RLIMIT_CORE=0, setrlimit=lambda *_args: None))
    patch.setattr(wiring, "ctypes", SimpleNamespace(CDLL=lambda _name: SimpleNamespace(prctl=lambda *_args: 0)))


@kills("10", "test_nothing_alive_shows_a_key")
def handles_show_themselves(patch: Patch, _part: str) -> None:
    """A handle is shown as a dataclass would be, and what it holds as bytes are."""
    patch.setattr(Secret, "__repr__", bytes.__repr__)
    patch.setattr(handle.Redacted, "__repr__", lambda thing: f"{_slots(thing)}")


@kills("10", "test_no_handle_is_written_down")
def handles_are_pickled(patch: Patch, _part: str) -> None:
    """A handle is pickled as anything else, with all it holds that can be."""

    def reduced(thing: object) -> tuple[object, ...]:
        return dict, ([(name, bytes(value)) for name, value in _slots(thing).items() if isinstance(value, bytes)],)

    patch.setattr(handle.Redacted, "__reduce__", reduced)


def _slots(thing: object) -> dict[str, object]:
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(thing, name, None) for name in names}


@kills("10", "test_no_fault_tells_a_key_or_a_name")
def faults_in_full(patch: Patch, _part: str) -> None:
    """What went wrong is logged with all that it says, whoever says it."""
    patch.setattr(Log, "error", lambda log, name, fault: log.event(name, message=str(fault)))


@kills("10", "test_no_fault_tells_a_key_or_a_name")
def defects_in_full(patch: Patch, _part: str) -> None:
    """Or printed."""
    patch.setattr(failure, "as_ours", lambda fault: GlomskaError(str(fault)))


@kills("10", "test_no_key_of_the_erased_is_in_a_worker_s_memory")
def keys_are_only_dropped(patch: Patch, _part: str) -> None:
    """Nobody refers to a key any more, and its bytes stay where they were."""
    patch.setattr(Secret, "__del__", lambda _secret: None)


@kills("10", "test_nor_what_wrapped_it_once_keys_are_turned_over")
def older_keks_are_held(patch: Patch, _part: str) -> None:
    """What is destroyed at the custodian is still at hand here."""
    refresh, held = Lineage.refresh, list[bytes]()

    def holding(opened: Lineage, tx: Transaction) -> None:
        held.extend((*opened._keks.values(), *opened._routes))
        refresh(opened, tx)

    patch.setattr(Lineage, "refresh", holding)


@kills(
    "12",
    "test_all_remaining_keys_find_nothing",
    "test_nor_in_a_spool",
    "test_nor_in_a_backup_once_keys_were_turned_over",
    "test_two_customers_share_no_secret",
)
def one_key_for_all(patch: Patch, _part: str) -> None:
    """Every customer gets the same secret."""
    patch.setattr(lineage, "secrets", SimpleNamespace(token_bytes=lambda size: b"\x07" * size))


@kills("12", "test_nor_in_a_backup_once_keys_were_turned_over")
def one_route_secret(patch: Patch, _part: str) -> None:
    """Keys are each customer's own, and what they are found under is for ever."""
    add = Lineage._add_secret

    def kept(opened: Lineage, tx: Transaction, kind: envelope.RowKind, *, version: int, now: int) -> KeyId:
        with pytest.MonkeyPatch.context() as within:
            if kind is envelope.RowKind.ROUTE:
                one_key_for_all(within, _part)
            return add(opened, tx, kind, version=version, now=now)

    patch.setattr(Lineage, "_add_secret", kept)


@kills("12", "test_nor_in_the_ledger")
def ids_of_names(patch: Patch, _part: str) -> None:
    """A route's id, which the ledger tells, is not random but a part of its hash."""

    def named(**row: Any) -> rows.Route:  # noqa: ANN401
        return rows.Route(**(row | {"route_id": row["hash"][:16]}))

    patch.setattr(enrolment, "rows", SimpleNamespace(**(vars(rows) | {"Route": named})))


@kills("12", "test_nor_in_the_ledger")
def fences_in_the_ledger(patch: Patch, _part: str) -> None:
    """What expires stands where nothing does."""

    def appended(ledger: Ledger, lines: list[dict[str, Value]]) -> None:
        told = [str(line["hash"]) for line in lines]
        ledger._append("fences", "outcome", {"intent": -1, "result": "done", "hashes": told})
        append(ledger, lines)

    append = Ledger.append_fences
    patch.setattr(Ledger, "append_fences", appended)


@kills("12", "test_route_hashes_of_the_erased_are_gone")
def routes_outlive_keys(patch: Patch, _part: str) -> None:
    """Keys are destroyed, and the hashes that name who had them are not."""
    the_route_stays(patch, _part)


@kills("16", "test_no_key_that_is_left_opens_it")
def one_key_for_all_that_waits(patch: Patch, _part: str) -> None:
    """Destroying it would take everybody's readings, so it stays."""
    one_key_for_all(patch, _part)
