"""Each attack's defences, taken out one by one: what `--without-defence NN:name` does before tests of attack NN run.

A test of an attack that still passes without its defence proves nothing. `test_bite.py` runs, for each mutation and in
a process of its own, the tests that it is to kill, and wants every one of them to fail: by what it asserts, not because
the mutant does not run.

`kills` are names of test functions; at least one case of each must fail, and with `[*]` all of them. A mutation is told
the case (`part`: pytest's id, such as `controller`), so that one mutation takes out the very part that a case is about.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.control import enrolment, recovery, withdrawal
from gateway.control.chain import Line
from gateway.control.enrolment import Group
from gateway.control.purge import Purging
from gateway.control.recovery import Recovery
from gateway.control.role import ERASE, Control
from gateway.crypto import aead, derive, envelope
from gateway.errors import Unreachable
from gateway.keys import handle, lease, ring
from gateway.keys.custodian import Destruction, FileCustodian
from gateway.keys.handle import Device, SeriesKey, SubjectKey, Window
from gateway.keys.lineage import Lineage
from gateway.keys.subject import Subject
from gateway.keystore import acts, subjects, workers
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.clear import Arrival
from gateway.model.dead import DeadLetter
from gateway.model.ids import Controller, Incarnation, Pseudonym, epoch_of, epoch_start
from gateway.model.sealed import Reason, SealedPoint, sealed_field
from gateway.pipeline import seal, times
from gateway.pipeline.budget import Budget
from gateway.pipeline.letters import Seals, letters_of
from gateway.runtime import worker, writer
from gateway.runtime.roll import Roll
from gateway.runtime.spooling import Spooling
from gateway.transport import letters, lineprotocol
from gateway.transport.ingest import Leaving
from gateway.transport.ingest.session import Delivery, Session
from gateway.transport.letters import DeadLetters
from gateway.transport.spool import Chunk, Spool, Spools, SpoolUnable

_HOUR = 3600 * 10**9
Patch = pytest.MonkeyPatch
TakeOut = Callable[[Patch, str], None]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One defence taken out, and the tests that must not survive it."""

    attack: str
    kills: tuple[str, ...]
    take_out: TakeOut


MUTATIONS: dict[str, Mutation] = {}


def kills(attack: str, *tests: str) -> Callable[[TakeOut], TakeOut]:
    """Enter a mutation as `attack:name`."""

    def enter(take_out: TakeOut) -> TakeOut:
        MUTATIONS[f"{attack}:{take_out.__name__}"] = Mutation(attack, tests, take_out)
        return take_out

    return enter


# Tests that show that the attacker, or what they attack, is there at all: no defence makes them pass.
CONTROLS = {
    "08": {"test_until_a_turnover_the_files_and_the_custodian_still_open_it": "what the attack is, while it works"},
    "09": {"test_before_the_turnover_the_image_opens": "shows that the attack works until then"},
    "15": {"test_the_search_would_find_them": "plants what the search has to find"},
    "31": {"test_at_rumqttd_one_of_three_goes_and_comes_back_under_load": "rumqttd itself leaves out who is away"},
    "21": {"test_it_opens_where_it_was_written": "a value that opened nowhere would be safe too"},
}


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
    patch.setattr(Recovery, "_erased", lambda _recovery, _tx, _line: True)


@kills("01", "test_who_was_to_be_erased_and_was_not_is_missed")
def whoever_was_to_be_erased_was(patch: Patch, _part: str) -> None:
    """A recovery that takes the word for the deed."""
    patch.setattr(recovery, "_is_erasure", lambda line, _outcomes: line.act == ERASE and line.phase == "intent")


@kills("01", "test_an_erasure_ended_half_way_takes_nobodys_fences", "test_two_secrets_of_a_month_both_count")
def a_month_has_the_newest_secret_alone(patch: Patch, _part: str) -> None:
    """Each erasure that finds no secret of its month makes one, and of several only the newest is asked."""
    refresh = Lineage.refresh

    def forgetful(opened: Lineage, tx: Transaction) -> None:
        refresh(opened, tx)
        opened._fences = list(dict(opened._fences).items())

    patch.setattr(Lineage, "refresh", forgetful)
    patch.setattr(withdrawal.Withdrawal, "_noted", lambda _withdrawal: [])


@kills("01", "test_whose_erasure_failed_is_not_fenced")
def what_failed_was_done(patch: Patch, _part: str) -> None:
    """Whatever stands in the fence file is brought back."""
    patch.setattr(recovery, "_void", lambda _lines, _outcomes: set())


@kills("02", "test_a_cut_ledger_is_refused[*]", "test_a_fork_of_the_same_length_is_refused")
def the_ledger_is_believed(patch: Patch, _part: str) -> None:
    """Whatever ledger is there is the true one."""
    patch.setattr(Control, "_agree", lambda _control: None)


@kills("02", "test_an_outcome_that_calls_the_key_lost_is_not_believed_unsigned[*]")
def whatever_is_lost_is_believed(patch: Patch, _part: str) -> None:
    """A line that says that something was lost needs no key but its own, and has none."""
    patch.setattr(Line, "is_unvouched", property(lambda line: "lost" in line.body))


@kills("25", "test_no_name_and_no_hash_of_one_stands_in_the_record")
def fences_without_a_key(patch: Patch, _part: str) -> None:
    """What stops an erased id is its hash, for everyone to try."""
    unkeyed_hashes(patch, _part)


@kills(
    "03",
    "test_redelivered_after_erasure",
    "test_a_new_process_refuses_too",
    "test_enrolment_does_not_bring_back",
    "test_next_tenant_gets_only_what_is_theirs",
    "test_a_broker_delivers_again_and_retains_in_vain",
)
def no_fences(patch: Patch, _part: str) -> None:
    """An erasure leaves no fence, so that a late message finds an unknown device, and enrolment a free name."""
    patch.setattr(withdrawal, "fences_of", lambda *_args, **_named: [])


@kills("03", "test_redelivered_after_erasure", "test_a_broker_delivers_again_and_retains_in_vain")
def the_route_stays(patch: Patch, _part: str) -> None:
    """Destroyed keys, and everything that leads to them still there."""
    patch.setattr(subjects, "delete_identity", lambda _tx, _incarnation, **_keep: None)
    patch.setattr(KeyStore, "scrub", lambda _store, _traces: None)


@kills(
    "03",
    "test_redelivered_after_erasure",
    "test_a_new_process_refuses_too",
    "test_next_tenant_gets_only_what_is_theirs",
    "test_a_broker_delivers_again_and_retains_in_vain",
)
def workers_see_no_fences(patch: Patch, _part: str) -> None:
    """Fences that only enrolment looks at."""
    patch.setattr(ring, "_fence_span", lambda _fence: handle.Span(starts=0, ends=0, reason=Reason.ERASED))


@kills("03", "test_what_waited_in_a_spool_is_not_replayed")
def a_spool_asks_nobody(patch: Patch, _part: str) -> None:
    """What was sealed before the erasure is stored after it."""
    patch.setattr(ring.Ring, "gone", lambda _ring, _key_ids: set())


@kills("03", "test_enrolment_does_not_bring_back")
def enrolment_forgets_devices(patch: Patch, _part: str) -> None:
    """A device may be enrolled for a time when it was an erased customer's."""
    patch.setattr(Group, "_open_fences", lambda _group, _lineage, _line: [])


@kills("03", "test_enrolment_does_not_bring_back")
def enrolment_forgets_customers(patch: Patch, _part: str) -> None:
    """An erased customer is enrolled as if they were new."""
    owner = Group._owner

    def forgetful(group: Group, opened: Lineage, line: enrolment.Enrolment) -> Subject | None:
        try:
            return owner(group, opened, line)
        except enrolment.LineRefused:
            return None

    patch.setattr(Group, "_owner", forgetful)


@kills("04", "test_no_key_lives_after_an_erasure_has_returned")
def fences_are_not_asked(patch: Patch, _part: str) -> None:
    """Enrolment mints without a look at the fences."""
    enrolment_forgets_customers(patch, _part)
    enrolment_forgets_devices(patch, _part)


@kills("05", "test_an_id_that_existed_is_never_used_again")
def ids_are_used_again(patch: Patch, _part: str) -> None:
    """Who brings a row for an id that was destroyed has it taken."""
    patch.setattr(subjects, "add_keys", lambda _tx, _minted, *, now: now)


@kills("05", "test_moved_to_another_place_it_does_not_open[*]")
def rows_open_anywhere(patch: Patch, _part: str) -> None:
    """A wrapped row is bound to no place, and nothing says which key it holds."""
    patch.setattr(envelope.RowPlace, "aad", lambda _place: b"")
    patch.setattr(derive, "commitment", lambda _csk, **_place: b"")


@kills("06", "test_one_that_is_stopped_is_waited_for_until_its_lease_is_over")
def nobody_is_waited_for(patch: Patch, _part: str) -> None:
    """An erasure that counts on workers to look soon."""
    patch.setattr(lease, "is_over", lambda _worker, *, now, boot, asked: bool(now or boot or asked))


@kills("06", "test_without_a_lease_no_use_of_a_key_begins")
def leases_never_end(patch: Patch, _part: str) -> None:
    """A worker goes on with what it has for as long as it likes."""
    patch.setattr(lease.Lease, "holds", lambda _lease: True)


@kills("06", "test_a_look_up_that_raced_the_erasure_is_thrown_away")
def look_ups_of_any_generation(patch: Patch, _part: str) -> None:
    """What was looked up is used, whatever has happened since."""

    def believed(known: ring.Ring, missing: set[str]) -> dict[str, Reason]:
        with known._keystore.snapshot() as tx:
            known.generation = workers.generation(tx)
        return fill(known, missing)

    fill = ring.Ring._fill
    patch.setattr(ring.Ring, "_fill", believed)


@kills("06", "test_an_erasure_takes_all_handles_of_one_customer_and_of_nobody_else")
def handles_outlast_an_erasure(patch: Patch, _part: str) -> None:
    """A worker takes an erasure for a turnover, after which nobody's keys are other ones."""
    since = acts.erased_since
    patch.setattr(acts, "erased_since", lambda tx, at: dict.fromkeys(since(tx, at), Incarnation(b"")))


@kills("06", "test_a_request_that_was_on_its_way_is_caught_by_the_second_purge")
def purged_only_once(patch: Patch, _part: str) -> None:
    """Rows are deleted at once, and not looked for again."""
    delete, done = Purging._delete, set[bytes]()

    def once(purging: Purging, erasure: bytes) -> int:
        if erasure in done:
            return 0
        done.add(erasure)
        return delete(purging, erasure)

    patch.setattr(Purging, "_delete", once)


@kills("07", "test_no_byte_of_a_wrapped_key_is_left_in_the_files")
def nothing_overwritten(patch: Patch, _part: str) -> None:
    """Rows are deleted as databases delete: the page is free, and its bytes stay."""
    patch.setattr(KeyStore, "scrub", lambda _store, _traces: None)


@kills("11", "test_every_candidate_is_tried_in_vain", "test_after_erasure_too")
def unkeyed_hashes(patch: Patch, _part: str) -> None:
    """Identifiers are hashed as everyone hashes them: without a key."""
    patch.setattr(
        derive, "_keyed_hash", lambda _secret, _label, _controller, _kind, name: sha256(name.encode()).digest()
    )


@kills("11", "test_every_candidate_is_tried_in_vain", "test_after_erasure_too")
def secrets_lie_beside(patch: Patch, _part: str) -> None:
    """Hashes are keyed, and their key stands in the key store as it is."""
    patch.setattr(envelope, "wrap", lambda _kek, secret, _place: derive.u8(1) + secret)
    patch.setattr(envelope, "unwrap", lambda _kek, wrapped, _place: wrapped[1:])


@kills("15", "test_no_identifier_and_no_value_in_any_file")
def pass_through(patch: Patch, _part: str) -> None:
    """What should be sealed goes out as it is."""

    def not_sealed(keys: list[SeriesKey], _field: str, _times: list[int], _revision: int, packed: bytes) -> list[bytes]:
        size = len(packed) // len(keys)
        return [packed[at : at + size] + bytes(aead.TAG_BYTES) for at in range(0, len(packed), size)]

    patch.setattr(seal, "seal_rows", not_sealed)
    patch.setattr(
        SeriesKey,
        "open_rows",
        lambda _key, _f, _t, _r, values: [sealed[:-16] for sealed in envelope.decode_values(values)[1]],
    )


@kills("15", "test_no_identifier_and_no_value_in_any_file")
def records_as_they_are(patch: Patch, _part: str) -> None:
    """Who lives where stands in the key store for everyone to read."""
    patch.setattr(envelope, "seal_record", lambda _key, plaintext, _place: derive.u8(1) + plaintext)
    patch.setattr(envelope, "open_record", lambda _key, record, _place: record[1:])


@kills(
    "15",
    "test_without_the_custodian_nothing_is_emitted",
    "test_a_controller_whose_key_is_missing_stops_the_batch",
)
def a_custodian_that_is_not_asked(patch: Patch, _part: str) -> None:
    """The wrapping key is built in, so that nobody notices that the custodian is away."""
    patch.setattr(FileCustodian, "_read", lambda _custodian, _controller, _e: bytes(derive.KEY_BYTES))


@kills("15", "test_a_controller_whose_key_is_missing_stops_the_batch")
def anyone_may_read_the_key(patch: Patch, _part: str) -> None:
    """A key file's mode is put right in silence."""
    read = FileCustodian._read

    def obliging(custodian: FileCustodian, controller: Controller, e: int) -> bytes:
        custodian._file(controller, e).chmod(0o600)
        return read(custodian, controller, e)

    patch.setattr(FileCustodian, "_read", obliging)


@kills("16", "test_what_waits_is_overwritten_where_it_lies")
def spools_are_not_purged(patch: Patch, _part: str) -> None:
    """An erasure reaches stores alone."""
    patch.setattr(Spools, "purge", lambda _spools, _key_ids, _dead: 0)


@kills("16", "test_what_is_put_back_is_dropped_and_counted")
def drained_unasked(patch: Patch, _part: str) -> None:
    """What waits is sent as it is: whether its key lives was asked when it was put there."""
    patch.setattr(ring.Ring, "gone", lambda _ring, _key_ids: set())


@kills("32", "test_filled_healed_and_drained_nothing_is_lost", "test_a_disk_that_was_full_loses_nothing")
def full_and_silent(patch: Patch, _part: str) -> None:
    """What does not fit is dropped, and acknowledged all the same."""
    append = Spool.append

    def silent(spool: Spool, points: Sequence[SealedPoint]) -> None:
        with contextlib.suppress(SpoolUnable):
            append(spool, points)

    patch.setattr(Spool, "append", silent)


@kills("32", "test_a_store_that_fails_again_while_it_is_drained_loses_nothing")
def settled_before_it_is_stored(patch: Patch, _part: str) -> None:
    """The cursor moves when a chunk is read."""
    oldest = Spool.oldest

    def eager(spool: Spool, most: int) -> Chunk | None:
        chunk = oldest(spool, most)
        if chunk is not None:
            spool.settled(chunk)
        return chunk

    patch.setattr(Spool, "oldest", eager)
    patch.setattr(Spooling, "_send", _sent_once)


def _sent_once(spooling: Spooling) -> None:
    points, spooling._left = spooling._left, []
    with contextlib.suppress(Unreachable):
        spooling._behind.write(points)


@kills("15", "test_no_identifier_and_no_value_in_the_dead_letters")
def letters_as_they_came(patch: Patch, _part: str) -> None:
    """What could not be stored is kept as it came, where it belongs to nobody."""
    patch.setattr(envelope, "seal_letter", lambda _key, plaintext, **_place: derive.u8(1) + plaintext)


@kills("15", "test_no_identifier_and_no_value_in_the_dead_letters")
def letters_of_customers_as_they_came(patch: Patch, _part: str) -> None:
    """Or where it belongs to somebody."""
    records_as_they_are(patch, _part)


@kills("03", "test_redelivered_after_erasure")
def letters_of_the_erased(patch: Patch, _part: str) -> None:
    """What an erased customer's device sends cannot be stored, so it is kept."""
    patch.setattr(Device, "letter_key", lambda _device, _arrived: None)


@kills("16", "test_what_was_of_the_erased_is_deleted_and_stays_away")
def letters_not_purged(patch: Patch, _part: str) -> None:
    """An erasure forgets what never reached a store."""
    patch.setattr(DeadLetters, "purge", lambda _letters, _key_ids, _dead: 0)


@kills("16", "test_what_was_of_the_erased_is_deleted_and_stays_away")
def no_hashes_captured(patch: Patch, _part: str) -> None:
    """It knows its customer's keys, and not what their devices sent before they were theirs."""
    patch.setattr(withdrawal, "letter_keys", lambda _tx, _custodian, _lineage: [])


@kills("16", "test_what_was_of_the_erased_is_deleted_and_stays_away")
def purged_and_taken_again(patch: Patch, _part: str) -> None:
    """What is purged may come again from a worker in which it waited."""
    patch.setattr(letters, "_INSERT", letters._INSERT.partition("WHERE")[0])


@kills("16", "test_a_copy_of_the_file_opens_for_nobody")
def records_open_without_a_key(patch: Patch, _part: str) -> None:
    """A destroyed key is still at hand."""
    patch.setattr(subjects, "destroy_key", lambda _tx, _key_id: None)
    patch.setattr(KeyStore, "scrub", lambda _store, _traces: None)
    patch.setattr(Lineage, "open", Lineage.open_to_end)
    patch.setattr(ring, "_fence_span", lambda _fence: handle.Span(starts=0, ends=0, reason=Reason.ERASED))


@kills("16", "test_a_living_customers_are_still_there_and_replayed")
def suspended_and_forgotten(patch: Patch, _part: str) -> None:
    """What a suspended customer's devices send is refused, and that is that."""

    def without(
        arrivals: Sequence[Arrival],
        devices: Sequence[Device | Reason],
        refused: dict[int, Reason],
        now: int,
        sealer: Seals,
    ) -> list[DeadLetter]:
        others = {index: why for index, why in refused.items() if why is not Reason.SUSPENDED}
        return letters_of(arrivals, devices, others, now, sealer)

    patch.setattr("tests.world.letters_of", without)


@kills("29", "test_after_nothing_but_poison_good_messages_flow_and_memory_is_flat")
def poison_is_remembered(patch: Patch, _part: str) -> None:
    """Whatever could not be read stays in memory, to be looked at some day."""
    kept: list[Arrival] = []
    processed = worker.Worker._processed

    def remembering(this: worker.Worker, delivery: Delivery) -> object:
        kept.extend(delivery.arrivals)
        return processed(this, delivery)

    patch.setattr(worker.Worker, "_processed", remembering)


@kills(
    "29",
    "test_after_nothing_but_poison_good_messages_flow_and_memory_is_flat",
    "test_full_dead_letters_stop_the_acknowledging_and_lose_nothing",
    "test_dead_letters_that_fail_stop_the_acknowledging",
)
def acknowledged_and_not_kept(patch: Patch, _part: str) -> None:
    """What is refused is counted and acknowledged, and gone."""
    patch.setattr(writer.Writer, "_kept", lambda _writer, _batch: True)


FLOODS = "test_who_floods_leaves_room_for_others_and_nothing_within_the_share_is_lost[*]"


@kills("29", FLOODS, "test_who_is_suspended_for_long_leaves_room_for_others_and_has_what_was_kept_on_resume")
def nobody_has_a_share(patch: Patch, _part: str) -> None:
    """What is too much is kept as everything is, until there is no room for anyone."""
    patch.setattr(DeadLetters, "full", lambda _letters, _flood: set())


@kills("29", FLOODS)
def nothing_is_too_much(patch: Patch, _part: str) -> None:
    """Nobody counts who sends what."""
    patch.setattr(Budget, "over", lambda _budget, _devices, _generation, _now: ())


@kills("29", FLOODS)
def too_much_is_lost(patch: Patch, _part: str) -> None:
    """What is too much is counted and acknowledged, and no more."""
    patch.setattr(DeadLetters, "full", lambda _letters, flood: {(letter.reason, letter.key_id) for letter in flood})


@kills("20", "test_two_values_under_one_nonce_give_nothing_away")
def a_cipher_that_repeats_break(patch: Patch, _part: str) -> None:
    """GCM, which a repeated nonce breaks."""
    patch.setattr(aead, "cipher", AESGCM)


@kills("20", "test_the_revision_alone_makes_another_ciphertext")
def no_revision_in_the_nonce(patch: Patch, _part: str) -> None:
    """A correction is sealed under the nonce of what it corrects."""
    _nonce(patch, lambda at, _revision: struct.pack(">QI", at, 0))


def _nonce(patch: Patch, of: Callable[[int, int], bytes]) -> None:
    """Another nonce for each reading, one by one and many together."""
    patch.setattr(aead, "reading_nonce", of)
    patch.setattr(aead, "reading_nonces", lambda times, revision: [of(at, revision) for at in times])


@kills("20", "test_a_correction_is_another_field_under_another_nonce")
def corrections_as_with_pads(patch: Patch, _part: str) -> None:
    """Both at once: the difference of two versions is the difference of their values."""
    a_cipher_that_repeats_break(patch, _part)
    no_revision_in_the_nonce(patch, _part)


@kills(
    "20",
    "test_a_correction_is_another_field_under_another_nonce",
    "test_a_redelivered_first_version_does_not_undo_a_correction",
)
def no_revision_in_the_field(patch: Patch, _part: str) -> None:
    """A correction is written over what it corrects, and the other way round."""
    patch.setattr(seal, "sealed_field", lambda mask, _revision: sealed_field(mask, 0))


_CONSTANT: dict[str, Any] = {
    "controller": "", "domain": "", "epoch": 0, "version": 0, "measurement": "", "schema": 0,
}  # fmt: skip


def _leave_out(patch: Patch, part: str) -> None:
    """One part of the associated data is the same for every place."""
    handle._place.cache_clear()
    whole = envelope.SeriesPlace
    if part == "name":
        patch.setattr(whole, "aad", lambda place, _name, aad=whole.aad: aad(place, ""))
    else:
        patch.setattr(envelope, "SeriesPlace", partial(_place_without, whole, part))


def _place_without(whole: type[envelope.SeriesPlace], part: str, **place: Any) -> envelope.SeriesPlace:  # noqa: ANN401
    made = whole(**(place | {part: _CONSTANT[part]}))
    made.schema = place["schema"]  # which a reader asks for beside
    return made


@kills("21", "test_it_does_not_open_elsewhere_under_the_same_key[*]")
def one_part_not_in_the_seal(patch: Patch, part: str) -> None:
    """What the case moves is not in the associated data."""
    _leave_out(patch, part)


@kills("21", "test_it_does_not_open_elsewhere[*]")
def one_part_nowhere(patch: Patch, part: str) -> None:
    """What the case moves is neither in the associated data, nor in the key, nor in the nonce."""
    _leave_out(patch, {"pseudonym": "name"}.get(part, part)) if part not in {"field", "time", "revision"} else None
    subkey, series_key, nonce = derive.subkey, derive.series_key, aead.reading_nonce
    if part in {"controller", "version", "domain", "epoch"}:
        patch.setattr(derive, "subkey", lambda csk, **place: subkey(csk, **(place | {part: _CONSTANT[part]})))
    match part:
        case "pseudonym":
            patch.setattr(derive, "series_key", lambda key, _name: series_key(key, Pseudonym("")))
        case "epoch":
            patch.setattr(SubjectKey, "_csk_at", lambda key, _epoch: key._csk)
        case "field":
            patch.setattr(handle, "_field", lambda _name: b"")
        case "time":
            _nonce(patch, lambda _at, revision: nonce(0, revision))
        case "revision":
            _nonce(patch, lambda at, _revision: nonce(at, 0))


class _NoTag:
    """Encrypts, and believes whatever it decrypts."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, _aad: bytes) -> bytes:
        made = Cipher(algorithms.AES(self._key), modes.CTR(nonce + bytes(4))).encryptor()
        return made.update(data) + bytes(aead.TAG_BYTES)

    def decrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
        return self.encrypt(nonce, data[: -aead.TAG_BYTES], aad)[: -aead.TAG_BYTES]


@kills("21", "test_every_bit_counts", "test_a_read_of_a_changed_store_fails[*]")
def nothing_verified(patch: Patch, _part: str) -> None:
    """A cipher without a tag."""
    patch.setattr(aead, "cipher", _NoTag)


@kills("23", "test_one_name_on_each_side_of_a_month[*]", "test_every_hour_of_a_year_has_the_name_of_its_month")
def epochs_of_local_time(patch: Patch, _part: str) -> None:
    """Months begin with Stockholm's winter clock."""
    patch.setattr(handle, "epoch_of", lambda at: epoch_of(at + _HOUR))
    patch.setattr(handle, "epoch_start", lambda epoch: epoch_start(epoch) - _HOUR)


@kills("23", "test_the_zone_of_a_clock_does_not_matter")
def offsets_are_not_read(patch: Patch, _part: str) -> None:
    """Whatever zone a time is said in, its digits are taken for UTC."""
    patch.setattr(times, "_tail", lambda _text: 0)


@kills("23", "test_arrival_does_not_name")
def named_at_arrival(patch: Patch, _part: str) -> None:
    """A reading gets the name of the month in which it comes."""
    at = Device.at

    def on_arrival(device: Device, _event_time: int) -> Window | Reason:
        found = at(device, time.time_ns())
        device.newest = Window(1, 0, 0, ())
        return found

    patch.setattr(Device, "at", on_arrival)


def _as_it_is(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: no line could be made at all
        raise lineprotocol.Unwritable from None
    return text


@kills(
    "28",
    "test_strings_add_no_tag_field_or_point",
    "test_a_real_server_holds_what_was_accepted_and_nothing_else",
    "test_a_real_server_holds_what_was_accepted_of_anything",
)
def nothing_escaped(patch: Patch, _part: str) -> None:
    """Strings go into a line as they are."""
    for name in ("escape_tag", "escape_string", "sealed_name", "clear_name"):
        patch.setattr(lineprotocol, name, _as_it_is)


@kills("28", "test_strings_add_no_tag_field_or_point")
def tags_not_escaped(patch: Patch, _part: str) -> None:
    """Nor are tags."""
    patch.setattr(lineprotocol, "escape_tag", _as_it_is)


@kills("08", "test_after_a_turnover_nothing_of_the_erased_opens")
def the_custodian_keeps_old_keys(patch: Patch, _part: str) -> None:
    """Every row is under the new KEK, and the old one can still be had."""
    told = Destruction(kind="file", attested=False)
    patch.setattr(FileCustodian, "destroy", lambda _custodian, _controller, _e: told)


@kills("22", "test_only_equality_shows")
def gcm_for_clones(patch: Patch, part: str) -> None:
    """A cipher that repeated nonces break."""
    a_cipher_that_repeats_break(patch, part)


@kills("28", "test_strings_add_no_tag_field_or_point")
def strings_not_escaped(patch: Patch, _part: str) -> None:
    """Nor string fields."""
    patch.setattr(lineprotocol, "escape_string", _as_it_is)


@kills("28", "test_strings_add_no_tag_field_or_point")
def sealed_names_not_checked(patch: Patch, _part: str) -> None:
    """Nor names of fields that hold strings."""
    patch.setattr(lineprotocol, "sealed_name", _as_it_is)


@kills("28", "test_strings_add_no_tag_field_or_point")
def clear_names_not_checked(patch: Patch, _part: str) -> None:
    """Nor names of fields that hold numbers."""
    patch.setattr(lineprotocol, "clear_name", _as_it_is)


@kills("28", "test_what_is_harmless_is_never_refused")
def whatever_needs_escaping_refused(patch: Patch, _part: str) -> None:
    """A renderer that is safe since it writes next to nothing."""

    def plain(text: str) -> str:
        if text.isalnum():
            return text
        raise lineprotocol.Unwritable

    patch.setattr(lineprotocol, "escape_tag", plain)


@kills(
    "30",
    "test_an_old_acknowledgement_does_not_settle_the_message_that_has_its_number_now[*]",
    "test_batches_in_flight_over_many_reconnects_are_delivered_until_acknowledged_in_their_own[*]",
    "test_two_workers_of_a_shared_subscription_settle_only_what_they_hold_now[*]",
)
def any_connection(patch: Patch, _part: str) -> None:
    """An acknowledgement is sent on whatever connection there is."""
    patch.setattr("tests.attacks.test_30_stale_acknowledgement.PATIENCE_S", 10.0)  # what is lost does not come
    patch.setattr(Session, "_is_current", staticmethod(lambda _generation, _current: True))


@kills("31", "test_three_two_three_workers_under_load_lose_nothing")
def nobody_looks_for_who_has_gone(patch: Patch, _part: str) -> None:
    """A worker that there is no more keeps its place in the shared subscription, and its share."""
    patch.setattr(Roll, "left_behind", lambda _roll, **_now: [])


@kills("31", "test_three_two_three_workers_under_load_lose_nothing")
def given_up_with_what_waits(patch: Patch, _part: str) -> None:
    """Its session is ended at once, and what waits in it goes with it."""

    def receive(session: Leaving, _timeout_s: float) -> None:
        if not session.stopped:
            session.connect()
            session._end()

    patch.setattr(Leaving, "receive", receive)


from tests.attacks import mutations_of_keys, mutations_of_strangers, mutations_of_turnover  # noqa: E402, F401 - they enter themselves above
