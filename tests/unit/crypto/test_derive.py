"""Names and subkeys: stable where they must be, unrelated everywhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.crypto import derive
from gateway.crypto.derive import Kind, Use
from gateway.model.ids import Controller, DeviceId, KeyId, is_identifier

BYTES_32 = st.binary(min_size=32, max_size=32)
NAMES = st.text(min_size=1, max_size=40).filter(is_identifier)


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.binary(max_size=40), max_size=5))
@settings(deadline=None)
def test_length_prefixed_lists_are_equal_only_when_their_parts_are(one: list[bytes], two: list[bytes]) -> None:
    joined = b"".join(map(derive.lp, one)), b"".join(map(derive.lp, two))
    assert (joined[0] == joined[1]) == (one == two)


@given(st.binary(max_size=60), st.integers(0, 60))
@settings(deadline=None)
def test_no_other_split_of_the_same_bytes_is_the_same(whole: bytes, at: int) -> None:
    """Without lengths, ("ab", "c") and ("a", "bc") would be one."""
    seen = {derive.lp(whole[:i]) + derive.lp(whole[i:]) for i in range(len(whole) + 1)}
    assert len(seen) == len(whole) + 1


@given(BYTES_32, st.integers(0, 30), st.integers(0, 30))
@settings(deadline=None)
def test_the_ratchet_steps(csk: bytes, one: int, two: int) -> None:
    assert derive.ratchet(csk, 1) == derive.expand(csk, derive.Label.RATCHET.value)  # written out there
    assert derive.ratchet(derive.ratchet(csk, one), two) == derive.ratchet(csk, one + two)
    assert len({derive.ratchet(csk, n) for n in range(one + two + 1)}) == one + two + 1


@dataclass(frozen=True)
class Place:
    """All that a pseudonym depends on."""

    csk: bytes
    controller: str = "one"
    version: int = 1
    domain: str = "store"
    epoch: int = 670
    device: str = "device"

    def pseudonym(self) -> str:
        key = derive.subkey(
            self.csk,
            use=Use.PSEUDONYM,
            controller=Controller(self.controller),
            version=self.version,
            domain=self.domain,
            epoch=self.epoch,
        )
        return derive.pseudonym(key, DeviceId(self.device))


@given(BYTES_32, BYTES_32, NAMES, NAMES, st.integers(0, 2**32 - 2))
@settings(deadline=None)
def test_a_pseudonym_is_stable_within_its_place_and_unrelated_across(
    csk: bytes, other_csk: bytes, controller: str, device: str, epoch: int
) -> None:
    here = Place(csk, controller, device=device, epoch=epoch)
    elsewhere = [
        replace(here, csk=other_csk),
        replace(here, controller=controller[:-1] + ("a" if controller[-1] != "a" else "b")),
        replace(here, version=2),
        replace(here, domain="partner"),
        replace(here, epoch=epoch + 1),
        replace(here, device=device[:-1] + ("a" if device[-1] != "a" else "b")),
    ]
    names = [here.pseudonym(), *(place.pseudonym() for place in elsewhere if place != here)]
    assert here.pseudonym() == names[0]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z2-7]{26}", name) for name in names)


def test_uses_labels_and_kinds_separate_keys() -> None:
    """One secret under every label: no two results agree."""
    secret, controller = b"\x07" * 32, Controller("one")
    found = [derive.subkey(secret, use=use, controller=controller, version=1, domain="device", epoch=0) for use in Use]
    for kind in Kind:
        found += [
            derive.route_hash(secret, controller=controller, kind=kind, name="x"),
            derive.fence_hash(secret, controller=controller, kind=kind, name="x"),
        ]
    found += [derive.dead_hash(secret, controller=controller, device=DeviceId("x")), derive.ratchet(secret)]
    found += [derive.commitment(secret, key_id=KeyId(bytes(16)), version=v, base=b) for v in (1, 2) for b in (0, 1)]
    assert len(set(found)) == len(found) == 3 + 4 + 2 + 4


@pytest.mark.parametrize("count", [0, 1, 7])
def test_pseudonyms_of_many_are_those_of_each(count: int) -> None:
    key, devices = bytes(range(32)), [DeviceId(f"é-{number}") for number in range(count)]
    assert derive.pseudonyms(key, devices) == [derive.pseudonym(key, device) for device in devices]


def test_a_keyed_hash_belongs_to_its_controller() -> None:
    one, two = (
        derive.route_hash(bytes(32), controller=Controller(c), kind=Kind.DEVICE, name="x") for c in ("one", "two")
    )
    assert one != two


@pytest.mark.parametrize("name", ["é", "e\u0301", " é", "É"])
def test_identifiers_enter_unchanged(name: str) -> None:
    """Composed, decomposed, with a space, in capitals: four devices."""
    key = bytes(32)
    others = {"é", "e\u0301", " é", "É"} - {name}
    assert derive.pseudonym(key, DeviceId(name)) not in {derive.pseudonym(key, DeviceId(o)) for o in others}
