"""Defences of turnover, clock guard and enrolment under a turnover, taken out one by one: see `mutations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.control import ledger, turnover
from gateway.control.enrolment import Group
from gateway.control.guard import Verdict
from gateway.control.pages import Pages
from gateway.control.turnover import Turnovers
from gateway.keys.custodian import Destruction, FileCustodian
from gateway.keys.custody import Custodian
from gateway.keys.lineage import Kind, Lineage
from gateway.keys.rewrap import Page, Rewrapping
from gateway.keystore import lineages, rows
from gateway.keystore.database import KeyStore, Transaction
from gateway.keystore.schema import fences
from gateway.model.ids import Controller, KeyEpoch
from gateway.policy.rules import horizon_epoch
from tests.attacks.mutations import Patch, kills


@kills("09", "test_after_the_turnover_nothing_of_it_opens", "test_nor_of_an_image_taken_in_the_middle_of_it")
def wrapping_keys_are_kept(patch: Patch, _part: str) -> None:
    """The custodian is told to destroy, and keeps."""
    kept = Destruction(kind="file", attested=False)
    patch.setattr(FileCustodian, "destroy", lambda _custodian, _controller, _e: kept)


@kills("12", "test_nor_in_a_backup_once_keys_were_turned_over")
def backups_open_for_ever(patch: Patch, part: str) -> None:
    """What opened the older rows stays."""
    wrapping_keys_are_kept(patch, part)


@kills("24", "test_killed_anywhere_and_carried_on_with", "test_killed_again_and_again")
def the_custodian_comes_first(patch: Patch, _part: str) -> None:
    """The older wrapping key is destroyed before everything is under the newest."""
    begin = Turnovers.begin

    def hasty(passes: Turnovers, controller: Controller, **named: Any) -> rows.Turnover:  # noqa: ANN401
        found = begin(passes, controller, **named)
        passes._custodian.destroy(controller, found.e - 1)
        return found

    patch.setattr(Turnovers, "begin", hasty)


@kills("34", "test_the_primary_dies_and_everybody_reads_from_the_standby", "test_one_that_is_away_keeps_the_older_key")
def standbys_are_not_asked(patch: Patch, _part: str) -> None:
    """What the primary has committed is taken for safe."""
    patch.setattr(KeyStore, "behind", lambda _store, _names, _written: [])


@kills("27", "test_no_row_opens_under_the_kek_of_before")
def rows_are_only_marked(patch: Patch, _part: str) -> None:
    """Keys of readings are said to be under the newest KEK, and stay as they are."""
    keys = Rewrapping.keys

    def marked(rewrapping: Rewrapping, page: Sequence[Any]) -> Page:
        done = keys(rewrapping, [row for row in page if row.key_class == "identity"])
        others = [row for row in page if row.key_class != "identity"]
        done.rewrapped += [{"of": row.place, "to": rewrapping._e, "row": row.wrapped} for row in others]
        return done

    patch.setattr(Rewrapping, "keys", marked)


@kills("27", "test_no_route_is_found_by_the_secret_of_before")
def routes_keep_their_hash(patch: Patch, _part: str) -> None:
    """The new route secret is the old one."""
    rewrapping = Lineage.rewrapping

    def old(opened: Lineage) -> Rewrapping:
        opened._routes = opened._routes[:1]
        return rewrapping(opened)

    patch.setattr(Lineage, "rewrapping", old)


@kills("27", "test_the_kek_of_before_is_in_no_row_and_its_key_at_no_custodian")
def keks_are_kept(patch: Patch, part: str) -> None:
    """What opened the older rows stays, in case somebody needs it."""
    patch.setattr(lineages, "leave_keks", lambda _tx, _controller, before: None)
    wrapping_keys_are_kept(patch, part)


@kills(
    "33",
    "test_a_clock_in_2099_takes_no_month",
    "test_nor_do_many_passes_of_that_year_take_more_than_one",
    "test_a_policy_that_keeps_nothing_takes_one_month_at_most",
    "test_an_operator_s_word_takes_nothing_that_the_policy_keeps",
)
def no_guard(patch: Patch, _part: str) -> None:
    """Horizons go at once where clock, policy or operator want them."""

    def horizons(
        verdict: Verdict, stored: dict[str, KeyEpoch], _moved: object, *, until: KeyEpoch | None = None
    ) -> dict[str, KeyEpoch]:
        wanted = {name: until or horizon_epoch(verdict.policy, name, verdict.now) for name in stored}
        return {name: epoch for name, epoch in wanted.items() if epoch > stored[name] and name != "identity"}

    patch.setattr(Verdict, "horizons", horizons)


@kills("33", "test_a_clock_in_2099_takes_no_month", "test_a_store_that_says_another_time_holds_it_back")
def times_are_not_compared(patch: Patch, _part: str) -> None:
    """Any clock will do."""
    patch.setattr(turnover, "judge", lambda policy, now, **_times: Verdict(policy=policy, now=now, why=""))


@kills("33", "test_what_a_pass_was_to_take_is_judged_again_when_it_is_carried_on_with")
def what_was_announced_is_taken(patch: Patch, _part: str) -> None:
    """The horizons of an intent move as far as it says."""

    def told(_policy: object, _now: int, _stored: object, told: list[str]) -> dict[str, KeyEpoch]:
        return {name: KeyEpoch(int(epoch)) for name, _equals, epoch in (text.rpartition("=") for text in told)}

    patch.setattr(turnover, "still_due", told)


@kills("33", "test_a_fence_outlives_many_passes_of_that_year")
def leaps_are_overlooked(patch: Patch, _part: str) -> None:
    """A clock agrees with a ledger that it has written into itself."""
    patch.setattr(ledger, "is_leap", lambda _before, _after: False)


@kills(
    "33",
    "test_nor_do_many_passes_of_that_year_take_more_than_one",
    "test_a_policy_that_keeps_nothing_takes_one_month_at_most",
    "test_after_a_move_dated_in_the_future_none_follows",
)
def no_rest_between_moves(patch: Patch, _part: str) -> None:
    """A month a pass."""
    patch.setattr(Verdict, "_rested", lambda _verdict, _moved: True)


@kills("33", "test_a_month_goes_each_month")
def nothing_ever_goes(patch: Patch, _part: str) -> None:
    """A guard that is safe, since no horizon moves."""
    patch.setattr(Verdict, "_rested", lambda _verdict, _moved: False)


@kills("34", "test_who_is_enrolled_in_between_is_read_afterwards")
def enrolment_remembers_its_lineage(patch: Patch, _part: str) -> None:
    """A lineage is opened once a process, and nobody asks whether it is still the newest."""
    opened, known = Group._lineage, dict[Controller, Lineage]()

    def remembered(group: Group, custodian: Custodian, controller: Controller) -> Lineage:
        if controller not in known:
            known[controller] = opened(group, custodian, controller)
        return known[controller]

    patch.setattr(Group, "_lineage", remembered)


@kills("34", "test_a_process_that_slept_writes_under_the_newest")
def e_is_not_held(patch: Patch, _part: str) -> None:
    """Whoever writes does so under the e that it opened."""
    patch.setattr(Lineage, "hold", lambda _opened, _tx: None)


@kills("34", "test_nobody_is_enrolled_twice_in_between")
def only_the_newest_hash_is_asked_for(patch: Patch, _part: str) -> None:
    """What is not rehashed yet is not found."""
    hashes = Lineage.route_hashes
    patch.setattr(Lineage, "route_hashes", lambda opened, kind, name: hashes(opened, Kind(kind), name)[-1:])


@kills("34", "test_who_is_erased_in_between_stays_erased")
def fences_do_not_survive(patch: Patch, _part: str) -> None:
    """A turnover begins with a clean fence."""

    leave = lineages.leave_keks

    def all_of_them(tx: Transaction, controller: Controller, *, before: int) -> None:
        tx.execute(fences.delete())
        leave(tx, controller, before=before)

    patch.setattr(lineages, "leave_keks", all_of_them)


@kills("34", "test_nothing_is_destroyed_while_something_is_left")
def what_is_left_is_not_counted(patch: Patch, _part: str) -> None:
    """The wrapping key goes when its turn has come."""
    patch.setattr(Pages, "require_nothing_behind", lambda _pages, _tx, _found: None)
