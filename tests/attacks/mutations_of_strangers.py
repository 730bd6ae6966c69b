"""Defences against ever new strangers, taken out one by one: see `mutations`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.keys.strangers import Sieve, Strangers
from gateway.keystore import rows, subjects
from gateway.keystore.database import Transaction
from tests.attacks.mutations import Patch, kills


@kills("29", "test_the_key_store_is_asked_so_often_and_no_more")
def every_stranger_is_looked_up(patch: Patch, _part: str) -> None:
    """However many have been looked up in vain."""
    patch.setattr(Strangers, "are_too_many", False)


@kills(
    "29",
    "test_who_is_enrolled_passes_seen_before_or_not",
    "test_whoever_lives_passes_at_every_step_of_a_turnover",
    "test_who_was_erased_is_told_from_a_stranger",
)
def who_was_not_seen_is_a_stranger(patch: Patch, _part: str) -> None:
    """What is beyond the bound is refused without a look at who is enrolled."""
    patch.setattr(Sieve, "__contains__", lambda _sieve, _mark: False)


@kills("29", "test_whoever_lives_passes_at_every_step_of_a_turnover")
def each_hash_for_itself(patch: Patch, _part: str) -> None:
    """A route is looked for under the hash that it was read under, not under the one it has moved to since."""
    find, possible = subjects.find_routes, Strangers.possible
    sieves: list[Sieve | None] = []

    def noting(known: Strangers, marks: Mapping[str, Collection[bytes]]) -> Collection[str]:
        sieves[:] = [known._sieve]
        return possible(known, marks)

    def sifted(tx: Transaction, hashes: Collection[bytes]) -> list[rows.Route]:
        sieve = sieves[0] if sieves else None
        return find(tx, hashes if sieve is None else [mark for mark in hashes if mark in sieve])

    patch.setattr(Strangers, "possible", noting)
    patch.setattr(subjects, "find_routes", sifted)


@kills("29", "test_who_is_enrolled_now_is_known_now")
def a_sieve_for_ever(patch: Patch, _part: str) -> None:
    """What was read of the key store once is believed, whatever was enrolled since."""
    as_of = Strangers.as_of

    def keeping(known: Strangers, act: int, generation: int) -> None:
        sieve = known._sieve
        as_of(known, act, generation)
        known._sieve = sieve

    patch.setattr(Strangers, "as_of", keeping)
