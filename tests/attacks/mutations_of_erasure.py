"""Defences of an erasure: keys, routes, fences, leases, and what waits, taken out one by one: see `mutations`."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.control import enrolment, withdrawal
from gateway.control.enrolment import Group
from gateway.control.purge import Purging
from gateway.crypto import derive, envelope
from gateway.keys import handle, lease, ring
from gateway.keys.custodian import Destruction, FileCustodian
from gateway.keys.handle import Device
from gateway.keys.lineage import Lineage
from gateway.keys.subject import Subject
from gateway.keystore import acts, subjects, workers
from gateway.keystore.database import KeyStore
from gateway.model.clear import Arrival
from gateway.model.dead import DeadLetter
from gateway.model.ids import Incarnation
from gateway.model.sealed import Reason
from gateway.pipeline.letters import Seals, letters_of
from gateway.transport import letters
from gateway.transport.letters import DeadLetters
from gateway.transport.spool import Spools
from tests.attacks.mutations import Patch, kills


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


@kills("16", "test_what_waits_is_overwritten_where_it_lies")
def spools_are_not_purged(patch: Patch, _part: str) -> None:
    """An erasure reaches stores alone."""
    patch.setattr(Spools, "purge", lambda _spools, _key_ids, _dead: 0)


@kills("16", "test_what_is_put_back_is_dropped_and_counted")
def drained_unasked(patch: Patch, _part: str) -> None:
    """What waits is sent as it is: whether its key lives was asked when it was put there."""
    patch.setattr(ring.Ring, "gone", lambda _ring, _key_ids: set())


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


@kills("08", "test_after_a_turnover_nothing_of_the_erased_opens")
def the_custodian_keeps_old_keys(patch: Patch, _part: str) -> None:
    """Every row is under the new KEK, and the old one can still be had."""
    told = Destruction(kind="file", attested=False)
    patch.setattr(FileCustodian, "destroy", lambda _custodian, _controller, _e: told)
