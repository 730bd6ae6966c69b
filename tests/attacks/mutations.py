"""Each attack's defences, taken out one by one: what `--without-defence NN:name` does before tests of attack NN run.

A test of an attack that still passes without its defence proves nothing. `test_bite.py` runs, for each mutation and in
a process of its own, the tests that it is to kill, and wants every one of them to fail: by what it asserts, not because
the mutant does not run.

`kills` are names of test functions; at least one case of each must fail, and with `[*]` all of them. A mutation is told
the case (`part`: pytest's id but for the key store, such as `controller`), so that one mutation takes out the very part
that a case is about. They stand by subject in `mutations_of_…`, which are imported at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

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


from tests.attacks import (  # noqa: E402 - they enter themselves above
    mutations_of_delivery,  # noqa: F401
    mutations_of_erasure,  # noqa: F401
    mutations_of_keys,  # noqa: F401
    mutations_of_ledger,  # noqa: F401
    mutations_of_sealing,  # noqa: F401
    mutations_of_strangers,  # noqa: F401
    mutations_of_turnover,  # noqa: F401
)
