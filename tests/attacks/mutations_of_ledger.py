"""Defences of ledger, key store set back, and record, taken out one by one: see `mutations`."""

from __future__ import annotations

from gateway.control import role, told, withdrawal
from gateway.control.chain import Line
from gateway.control.ledger import Ledger
from gateway.control.recovery import Recovery
from gateway.control.role import ERASE, Control
from gateway.keys import lease
from gateway.keys.custodian import FileCustodian
from gateway.keys.lineage import Lineage
from gateway.keystore import workers
from gateway.keystore.database import Transaction
from tests.attacks.mutations import Patch, kills
from tests.attacks.mutations_of_sealing import unkeyed_hashes


@kills("01", "test_it_serves_nobody_before_it_is_recovered", "test_without_a_ledger_at_hand_the_custodian_is_asked")
def nobody_remembers(patch: Patch, _part: str) -> None:
    """The custodian has no mark, so that key store and ledger that were set back together agree."""
    patch.setattr(FileCustodian, "mark", lambda _custodian, _ledger: None)


@kills("01", "test_a_worker_that_runs_stops_when_it_is_set_back_under_it")
def any_generation_will_do(patch: Patch, _part: str) -> None:
    """Another generation is a newer one."""

    def look(held: lease.Lease) -> int:
        with held._keystore.snapshot() as tx:
            return workers.generation(tx)

    patch.setattr(lease.Lease, "look", look)


@kills("01", "test_without_a_ledger_that_reaches_the_mark_it_stays_shut", "test_what_was_done_since_holds_again")
def recovered_from_anything(patch: Patch, _part: str) -> None:
    """Any ledger is good enough to recover from."""
    patch.setattr(Recovery, "_require", lambda _recovery, _tx, _lines: None)


@kills("01", "test_what_was_done_since_holds_again[*]")
def erasures_not_replayed(patch: Patch, _part: str) -> None:
    """A recovery that knows of everything but erasures."""
    patch.setattr(Recovery, "_erased", lambda _recovery, _tx, _line, _outcome: True)


@kills("01", "test_who_was_to_be_erased_and_was_not_is_missed")
def whoever_was_to_be_erased_was(patch: Patch, _part: str) -> None:
    """A recovery that takes the word for the deed."""
    patch.setattr(told, "is_erasure", lambda line, _outcomes: line.act == ERASE and line.phase == "intent")


@kills("01", "test_an_erasure_ended_half_way_takes_nobodys_fences", "test_two_secrets_of_a_month_both_count")
def a_month_has_the_newest_secret_alone(patch: Patch, _part: str) -> None:
    """Each erasure that finds no secret of its month makes one, and of several only the newest is asked."""
    refresh = Lineage.refresh

    def forgetful(opened: Lineage, tx: Transaction) -> None:
        refresh(opened, tx)
        newest = {month: at for at, (month, _secret) in enumerate(opened._fences)}.values()
        opened._fences = [opened._fences[at] for at in newest]
        opened._fence_hashers = [opened._fence_hashers[at] for at in newest]

    patch.setattr(Lineage, "refresh", forgetful)
    patch.setattr(withdrawal.Withdrawal, "_noted", lambda _withdrawal: [])


@kills("01", "test_whose_erasure_failed_is_not_fenced")
def what_failed_was_done(patch: Patch, _part: str) -> None:
    """Whatever stands in the fence file is brought back."""
    patch.setattr(told, "void", lambda _lines, _outcomes: set())


@kills("02", "test_a_cut_ledger_is_refused[*]", "test_a_fork_of_the_same_length_is_refused")
def the_ledger_is_believed(patch: Patch, _part: str) -> None:
    """Whatever ledger is there is the true one."""
    patch.setattr(Control, "_agree", lambda _control: None)


@kills("02", "test_an_outcome_that_calls_the_key_lost_is_not_believed_unsigned[*]")
def whatever_is_lost_is_believed(patch: Patch, _part: str) -> None:
    """A line that says that something was lost needs no key but its own, and has none."""
    patch.setattr(Line, "is_unvouched", property(lambda line: "lost" in line.body))


@kills("02", "test_what_nobody_signed_is_not_carried_on_with[*]")
def whatever_is_announced_is_done(patch: Patch, _part: str) -> None:
    """An intent that the key store has never heard of is carried on with, whoever wrote it."""
    patch.setattr(role, "is_unasked_for", lambda _line, _known: False)


@kills("02", "test_a_key_that_the_forger_brings_signs_nothing[*]")
def the_newest_signature_is_enough(patch: Patch, _part: str) -> None:
    """Which key it is of nobody asks."""

    def doubt(opened: Ledger, line: Line) -> None:
        if key := line.signer(opened.key):
            opened._unproven = {0: (line, key)} if line.is_signed else {}

    patch.setattr(Ledger, "_doubt", doubt)


@kills("25", "test_no_name_and_no_hash_of_one_stands_in_the_record")
def fences_without_a_key(patch: Patch, _part: str) -> None:
    """What stops an erased id is its hash, for everyone to try."""
    unkeyed_hashes(patch, _part)
