"""Every custodian keeps the promises of keys/custody.py: files, a token, and two of them together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11.constants import TokenFlag

from gateway.control.controllers import Controllers
from gateway.control.role import Control
from gateway.errors import CustodianFault, GlomskaError, Unreachable
from gateway.keys import token
from gateway.keys.custodian import Custodian, FileCustodian, Mark, PairedCustodian, open_custodian
from gateway.keys.token import TokenCustodian
from gateway.model.ids import Controller
from tests.softhsm import SoftHsm
from tests.world import World

ONE, TWO = Controller("fjärrvärme-ett"), Controller("fjärrvärme-två")
KEK = bytes(range(32))
LEDGER = b"l" * 16


class Keeper(Protocol):
    """Where a custodian keeps its keys: opened anew as another process does, taken away and put back."""

    attested: bool
    residue: str

    def open(self) -> Custodian: ...
    def away(self) -> None: ...
    def back(self) -> None: ...


class Files:
    attested = False
    residue = "copies of the key file's medium, and what the medium keeps of overwritten blocks"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> Custodian:
        return open_custodian("file:kek", state=self._directory)

    def away(self) -> None:
        (self._directory / "kek").rename(self._directory / "elsewhere")

    def back(self) -> None:
        (self._directory / "elsewhere").rename(self._directory / "kek")


class Token:
    attested = True
    residue = "copies of the software token's directory"

    def __init__(self, hsm: SoftHsm) -> None:
        self._hsm = hsm
        self._label = hsm.token()

    def open(self) -> Custodian:
        url = f"pkcs11:token={self._label};module={self._hsm.module}"
        return open_custodian(url, state=Path(), pin=self._hsm.pin)

    def away(self) -> None:
        self._hsm.pull(self._label)

    def back(self) -> None:
        self._hsm.plug(self._label)


class Pair:
    attested = False
    residue = f"{Token.residue}; {Files.residue}"

    def __init__(self, hsm: SoftHsm, directory: Path) -> None:
        self.first, self.second = Token(hsm), Files(directory)

    def open(self) -> Custodian:
        return PairedCustodian(self.first.open(), self.second.open())

    def away(self) -> None:
        self.first.away()

    def back(self) -> None:
        self.first.back()


@pytest.fixture(params=["file", "pkcs11", "pair"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    if request.param == "file":
        return Files(tmp_path)
    hsm: SoftHsm = request.getfixturevalue("softhsm")
    return Token(hsm) if request.param == "pkcs11" else Pair(hsm, tmp_path)


@pytest.fixture
def custodian(keeper: Keeper) -> Custodian:
    return keeper.open()


def made(custodian: Custodian, controller: Controller = ONE, e: int = 1) -> bytes:
    custodian.create(controller, e)
    return custodian.wrap(controller, e, KEK)


def refusal(custodian: Custodian, wrapped: bytes, *, controller: Controller = ONE, e: int = 1) -> GlomskaError:
    with pytest.raises(CustodianFault) as caught:
        custodian.unwrap(controller, e, wrapped)
    assert KEK.hex() not in repr(caught.value)
    assert ONE not in str(caught.value)
    assert caught.value.exit_code == 3
    return caught.value


def test_what_it_wraps_it_unwraps_and_so_does_another_process(keeper: Keeper, custodian: Custodian) -> None:
    wrapped = made(custodian)
    assert KEK not in wrapped
    assert custodian.unwrap(ONE, 1, wrapped) == keeper.open().unwrap(ONE, 1, wrapped) == KEK
    assert custodian.wrap(ONE, 1, KEK) != wrapped, "a nonce of its own each time"


def test_creating_again_changes_nothing(custodian: Custodian) -> None:
    wrapped = made(custodian)
    custodian.create(ONE, 1)
    assert custodian.unwrap(ONE, 1, wrapped) == KEK


def test_creating_by_many_at_once_loses_no_key(keeper: Keeper) -> None:
    opened = [keeper.open() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        wrapped = list(pool.map(lambda n: made(opened[n % 4]), range(32)))
    assert {opened[0].unwrap(ONE, 1, each) for each in wrapped} == {KEK}
    opened[1].destroy(ONE, 1)
    assert not keeper.open().exists(ONE, 1)


def test_each_controller_and_e_has_its_own(custodian: Custodian) -> None:
    places = [(ONE, 1), (ONE, 2), (TWO, 1)]
    wrapped = {place: made(custodian, *place) for place in places}
    for place in places:
        assert custodian.unwrap(*place, wrapped[place]) == KEK
        for other in places:
            if other != place:
                refusal(custodian, wrapped[other], controller=place[0], e=place[1])


def test_a_changed_row_does_not_open(custodian: Custodian) -> None:
    wrapped = made(custodian)
    for at in (0, 5, len(wrapped) // 2, len(wrapped) - 1):
        broken = bytearray(wrapped)
        broken[at] ^= 1
        if isinstance(custodian, PairedCustodian) and at == len(wrapped) - 1:
            continue  # the second's part, which the first has no use for
        refusal(custodian, bytes(broken))
    for row in (
        b"",
        wrapped[:1],
        wrapped[:20],
        wrapped[:-30] if not isinstance(custodian, PairedCustodian) else b"\x03",
    ):
        refusal(custodian, row)


def test_destroying_one_leaves_the_others(keeper: Keeper, custodian: Custodian) -> None:
    first, second = made(custodian, e=1), made(custodian, e=2)
    assert custodian.exists(ONE, 1)
    told = custodian.destroy(ONE, 1)
    assert (told.attested, told.residue) == (keeper.attested, keeper.residue)
    assert not custodian.exists(ONE, 1)
    refusal(custodian, first)
    refusal(keeper.open(), first)
    assert custodian.unwrap(ONE, 2, second) == KEK


def test_destroying_what_is_absent_counts(custodian: Custodian) -> None:
    made(custodian, e=2)
    assert custodian.destroy(ONE, 1) == custodian.destroy(TWO, 7)
    assert custodian.exists(ONE, 2)


def test_one_that_was_made_again_is_another(custodian: Custodian) -> None:
    wrapped = made(custodian)
    custodian.destroy(ONE, 1)
    custodian.create(ONE, 1)
    fault = refusal(custodian, wrapped)
    assert "key for e = 1 is not the one" in str(fault) or "key file for e = 1 is not the one" in str(fault)


def test_without_its_key_nothing_opens(custodian: Custodian) -> None:
    wrapped = made(custodian, e=2)
    fault = refusal(custodian, wrapped)
    assert fault.hint


def test_a_mark_moves_forward_only(keeper: Keeper, custodian: Custodian) -> None:
    made(custodian)
    assert custodian.mark(LEDGER) is None
    for seq, now in ((3, 3), (7, 7), (5, 7), (7, 7), (8, 8)):
        custodian.set_mark(LEDGER, Mark(seq, f"{seq:064x}"))
        assert custodian.mark(LEDGER) == keeper.open().mark(LEDGER) == Mark(now, f"{now:064x}")
    custodian.set_mark(LEDGER, Mark(8, "f" * 64))
    assert custodian.mark(LEDGER) == Mark(8, f"{8:064x}"), "a mark is not exchanged for another of its sequence"
    assert custodian.mark(b"m" * 16) is None


def test_away_it_says_so_and_back_it_works(keeper: Keeper, custodian: Custodian) -> None:
    wrapped = made(custodian)
    keeper.away()
    for opened in (custodian, keeper.open()):
        with pytest.raises((CustodianFault, Unreachable)):
            opened.unwrap(ONE, 1, wrapped)
        with pytest.raises((CustodianFault, Unreachable)):
            opened.wrap(ONE, 1, KEK)
        with pytest.raises((CustodianFault, Unreachable)):
            opened.destroy(ONE, 1)
    keeper.back()
    assert custodian.unwrap(ONE, 1, wrapped) == KEK


# Of tokens


@pytest.fixture
def label(softhsm: SoftHsm) -> str:
    return softhsm.token()


def test_a_token_never_gives_a_key_out(softhsm: SoftHsm, label: str) -> None:
    custodian = TokenCustodian(softhsm.module, label, softhsm.pin)
    custodian.create(ONE, 1)
    session = custodian._open()
    (key,) = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY})
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key[pkcs11.Attribute.VALUE]
    wrapper: Any = session.generate_key(pkcs11.KeyType.AES, 256, capabilities=pkcs11.MechanismFlag.WRAP)
    with pytest.raises(pkcs11.exceptions.PKCS11Error):
        wrapper.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)


def test_a_key_that_was_put_into_the_token_is_refused(softhsm: SoftHsm, label: str) -> None:
    """Whoever brought it may have kept it."""
    custodian = TokenCustodian(softhsm.module, label, softhsm.pin)
    planted = {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
        pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
        pkcs11.Attribute.VALUE: bytes(32),
        pkcs11.Attribute.TOKEN: True,
        pkcs11.Attribute.ID: b"planted",
        pkcs11.Attribute.LABEL: "glomska-w-178c26c5c8d0a52a-1",
        pkcs11.Attribute.ENCRYPT: True,
        pkcs11.Attribute.DECRYPT: True,
        pkcs11.Attribute.SENSITIVE: True,
        pkcs11.Attribute.EXTRACTABLE: False,
    }
    controller = Controller("heat-co")
    custodian._call("planted", lambda session: session.create_object(planted))
    assert custodian.exists(controller, 1)
    with pytest.raises(CustodianFault) as caught:
        custodian.wrap(controller, 1, KEK)
    assert str(caught.value) == "the token's key for e = 1 can be taken out of it, or was put into it"


def test_a_token_s_row_is_aes_gcm_of_the_documented_bytes(
    softhsm: SoftHsm, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key that is known, which only a test may bring in, the row opens by another library too."""
    monkeypatch.setattr(token, "_FROM_HERE", {})
    custodian = TokenCustodian(softhsm.module, label, softhsm.pin)
    known = {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
        pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
        pkcs11.Attribute.VALUE: bytes(range(32, 64)),
        pkcs11.Attribute.TOKEN: True,
        pkcs11.Attribute.ID: b"known",
        pkcs11.Attribute.LABEL: "glomska-w-178c26c5c8d0a52a-7",
        pkcs11.Attribute.ENCRYPT: True,
        pkcs11.Attribute.DECRYPT: True,
    }
    custodian._call("planted", lambda session: session.create_object(known))
    row = custodian.wrap(Controller("heat-co"), 7, KEK)
    assert (row[0], len(row)) == (2, 1 + 12 + 32 + 16)
    aad = b"\x00\x07heat-co\x00\x03kek\x00\x00\x00\x07"
    assert AESGCM(bytes(range(32, 64))).decrypt(row[1:13], row[13:], aad) == KEK
    kept = bytes.fromhex(
        "02000102030405060708090a0b5c535fa44e30edebb4f0c3cd2a7e50330361fb777e04b0"
        "063c14c9a1a79cd58750eff978c1e98042ea98a874bc44de47"
    )
    assert custodian.unwrap(Controller("heat-co"), 7, kept) == KEK


def test_a_wrong_pin_is_tried_once(softhsm: SoftHsm, label: str) -> None:
    pkcs11.lib(softhsm.module).reinitialize()  # another custodian of this process may be logged in
    custodian = TokenCustodian(softhsm.module, label, b"000000")
    with pytest.raises(CustodianFault) as caught:
        custodian.create(ONE, 1)
    assert str(caught.value) == "the token refuses its PIN"
    assert caught.value.hint == "correct keys.pin_file, then start again"
    for _ in range(20):
        with pytest.raises(CustodianFault, match="the token refused its PIN before, and is not asked again"):
            custodian.create(ONE, 1)
    TokenCustodian(softhsm.module, label, softhsm.pin).create(ONE, 1)


def test_the_last_try_is_left_to_the_operator(softhsm: SoftHsm, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SoftHSM counts no tries, so the flag that says so is set here."""

    class LastTry:
        flags = TokenFlag.USER_PIN_FINAL_TRY

        def open(self, **_: object) -> None:
            pytest.fail("it was tried")

    with pytest.raises(CustodianFault, match="one wrong PIN more and the token locks itself, so it is not tried"):
        TokenCustodian(softhsm.module, label, softhsm.pin)._logged_in(LastTry())  # type: ignore[arg-type]


def test_no_such_token(softhsm: SoftHsm) -> None:
    with pytest.raises(Unreachable) as caught:
        TokenCustodian(softhsm.module, "absent", softhsm.pin).create(ONE, 1)
    assert str(caught.value).startswith('the token "absent" does not answer: NoSuchToken')
    assert caught.value.hint == "connect the token; until then only a running gateway emits"


def test_no_such_module(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    for module in ("/absent.so", str(tmp_path / "text.so")):
        with pytest.raises(CustodianFault) as caught:
            TokenCustodian(module, "glomska", b"1234").create(ONE, 1)
        assert str(caught.value).startswith("the PKCS#11 module cannot be used: ")
        assert caught.value.hint.startswith("correct module=… in keys.custodian")


def test_an_exit_takes_no_other_token_for_the_one_that_has_the_keys(
    softhsm: SoftHsm, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one would report every key destroyed, and attest it."""
    world = World(tmp_path / "state")
    right, wrong = (TokenCustodian(softhsm.module, name, softhsm.pin) for name in (label, softhsm.token()))
    control = Control(world.keystore, world.ledger, world.clock, right)
    exits = Controllers(control, right, lambda: world.policy, world.certificates)
    exits.add(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(right, "destroy", _ended)
        with pytest.raises(CustodianFault, match="ended here"):
            exits.exit(ONE)
    elsewhere = Control(world.keystore, world.ledger, world.clock, wrong)
    with pytest.raises(CustodianFault, match="neither newest wrapping key nor mark of this exit"):
        Controllers(elsewhere, wrong, lambda: world.policy, world.certificates).exit(ONE)
    softhsm.pull(label)
    with pytest.raises(Unreachable):
        exits.exit(ONE)
    softhsm.plug(label)
    assert right.exists(ONE, 1)
    gone = exits.exit(ONE)
    assert (gone.wrappings, gone.attested, right.exists(ONE, 1)) == (1, True, False)
    world.close()


def _ended(*_args: object) -> None:
    raise CustodianFault("ended here")


# Of two


def test_the_second_opens_alone_when_the_first_is_dead(softhsm: SoftHsm, tmp_path: Path) -> None:
    pair = Pair(softhsm, tmp_path)
    both = pair.open()
    wrapped = made(both)
    made(both, e=2)
    pair.first.away()
    with pytest.raises(Unreachable) as caught:
        both.unwrap(ONE, 1, wrapped)
    assert caught.value.hint.endswith("give keys.custodian what keys.recovery names, and leave that out")
    assert pair.second.open().unwrap(ONE, 1, wrapped) == KEK
    with pytest.raises(Unreachable):
        both.destroy(ONE, 1)
    pair.first.back()
    assert pair.first.open().unwrap(ONE, 1, wrapped) == KEK
    both.destroy(ONE, 1)
    for alone in (pair.first.open(), pair.second.open()):
        refusal(alone, wrapped)


def test_two_of_one_kind(tmp_path: Path) -> None:
    first, second = FileCustodian(tmp_path / "one"), FileCustodian(tmp_path / "two")
    wrapped = made(PairedCustodian(first, second))
    assert first.unwrap(ONE, 1, wrapped) == second.unwrap(ONE, 1, wrapped) == KEK
    shutil.rmtree(tmp_path / "one")
    assert second.unwrap(ONE, 1, wrapped) == KEK


def test_a_row_from_before_there_was_a_second(tmp_path: Path) -> None:
    first, second = FileCustodian(tmp_path / "one"), FileCustodian(tmp_path / "two")
    wrapped = made(first)
    assert PairedCustodian(first, second).unwrap(ONE, 1, wrapped) == KEK
    second.create(ONE, 2)
    with pytest.raises(CustodianFault):
        second.unwrap(ONE, 1, wrapped)


@pytest.fixture(scope="session")  # the library reads once a process where its tokens are
def softhsm() -> Iterator[SoftHsm]:
    with SoftHsm() as hsm:
        yield hsm
