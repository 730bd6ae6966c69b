"""Defences of lines, acknowledgements, spools and floods, taken out one by one: see `mutations`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import count

from gateway.errors import Unreachable
from gateway.keys.handle import Common, Device, Span
from gateway.model.clear import Arrival
from gateway.model.sealed import SealedPoint
from gateway.pipeline.budget import Budget
from gateway.runtime import worker, writer
from gateway.runtime.roll import Roll
from gateway.runtime.spooling import Spooling
from gateway.transport import lineprotocol
from gateway.transport.ingest import Leaving
from gateway.transport.ingest.session import Delivery, Session
from gateway.transport.letters import DeadLetters
from gateway.transport.spool import Chunk, Spool, SpoolUnable
from tests.attacks.mutations import Patch, kills


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


@kills("29", FLOODS)
def nobody_has_a_share(patch: Patch, _part: str) -> None:
    """What is too much is kept as everything is, until there is no room for anyone."""
    patch.setattr(DeadLetters, "full", lambda _letters, _flood: set())


@kills("29", FLOODS)
def nothing_is_too_much(patch: Patch, _part: str) -> None:
    """Nobody counts who sends what."""
    patch.setattr(Budget, "over", lambda _budget, _devices, _now: ())


@kills("29", "test_acts_on_keys_of_others_forgive_nobody")
def a_bucket_ends_with_its_handle(patch: Patch, _part: str) -> None:
    """Each handle has a bucket, and acts on keys make new ones."""
    made, marks = Device.__init__, count()

    def marked_anew(device: Device, called: str, spans: Sequence[Span], common: Common) -> None:
        made(device, called, spans, common)
        device.mark = next(marks)

    patch.setattr(Device, "__init__", marked_anew)


@kills("29", "test_a_list_of_readings_counts_by_what_is_in_it")
def a_list_is_one_message(patch: Patch, _part: str) -> None:
    """However much stands in a message, it counts as one."""
    patch.setattr(Budget, "charge_lists", lambda _budget, _devices, _many: None)


@kills("29", FLOODS)
def too_much_is_lost(patch: Patch, _part: str) -> None:
    """What is too much is counted and acknowledged, and no more."""
    patch.setattr(DeadLetters, "full", lambda _letters, flood: {letter.key_id for letter in flood})


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
