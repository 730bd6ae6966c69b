"""The byte format of dead letters, as docs/formats/letters.md has it: for ever."""

from __future__ import annotations

import pytest

from gateway.errors import VerificationFailed
from gateway.keys.operations import OperationsKey
from gateway.model.dead import DeadLetter, LetterKind
from gateway.model.ids import KeyId, parse_controller, parse_device
from gateway.model.letter import Letter
from gateway.model.sealed import Reason

CONTROLLER = parse_controller("heat-co")
KEY = OperationsKey(bytes(range(32)), controller=CONTROLLER, day=20_000, key_id=KeyId(bytes(16)))
ID = bytes(range(16))
LETTER = Letter(
    Reason.RANGE, 20_000 * 86_400 * 10**9 + 5, "glomska/heat-co/meter-1/readings", b'{"time":1}', "application/json"
)
PLAIN = (
    "01000572616e676517fb16d83be000050100106170706c69636174696f6e2f6a736f6e0020676c6f6d736b612f686561742d636f2f6d65746572"
    "2d312f72656164696e67737b2274696d65223a317d"
)
SEALED = (
    "01d6137143a4391e1db3ed41c544557b6ffcf33342f752253e4b30ade8af009ebbfc143d134acb5ae66be36b4589c1da280681e4ae225c629e50"
    "ae8b62599736254176dd5d83b800b73b9a90f2df44513a62347c321b75a0b2d7534056e8f3ae7272ac0542385a7db4c8e014"
)
DEAD = "b948286e06ecd27caaed9d275a58ec3067763fbb7f05c601eb3d206292a150a0"


def test_what_version_1_sealed_opens() -> None:
    assert KEY.open(bytes.fromhex(SEALED), letter=ID).hex() == PLAIN
    assert Letter.decode(bytes.fromhex(PLAIN)) == LETTER


def test_it_is_written_as_in_version_1() -> None:
    assert LETTER.encode().hex() == PLAIN
    assert Letter(Reason.TOPIC, 1, "x", b"", None).encode().hex() == "010005746f706963000000000000000100000178"
    again = KEY.seal(LETTER.encode(), letter=ID)
    assert (again[0], len(again)) == (1, len(SEALED) // 2)
    assert again.hex() != SEALED, "the nonce is random"
    assert KEY.open(again, letter=ID).hex() == PLAIN


def test_the_hash_of_a_device_is_that_of_its_controller_and_day() -> None:
    assert KEY.dead_hash(CONTROLLER, parse_device("meter-1")).hex() == DEAD
    tomorrow = OperationsKey(bytes(32), controller=CONTROLLER, day=20_001, key_id=KeyId(bytes(16)))
    others = {
        KEY.dead_hash(CONTROLLER, parse_device("meter-2")),
        KEY.dead_hash(parse_controller("other"), parse_device("meter-1")),
        tomorrow.dead_hash(CONTROLLER, parse_device("meter-1")),
    }
    assert DEAD not in {other.hex() for other in others}
    assert len(others) == 3


@pytest.mark.parametrize(
    ("day", "letter", "controller"), [(20_001, ID, "heat-co"), (20_000, ID[::-1], "heat-co"), (20_000, ID, "x")]
)
def test_it_opens_nowhere_else(day: int, letter: bytes, controller: str) -> None:
    other = OperationsKey(bytes(range(32)), controller=parse_controller(controller), day=day, key_id=KEY.key_id)
    with pytest.raises(VerificationFailed):
        other.open(bytes.fromhex(SEALED), letter=letter)


@pytest.mark.parametrize(("reason", "arrived"), [(Reason.TOPIC, LETTER.arrived), (Reason.RANGE, LETTER.arrived + 1)])
def test_what_stands_beside_it_is_what_was_sealed(reason: Reason, arrived: int) -> None:
    kept = DeadLetter(
        letter_id=ID,
        kind=LetterKind.UNATTRIBUTED,
        reason=reason,
        arrived=arrived,
        controller="heat-co",
        key_id=KEY.key_id,
        sealed=b"",
    )
    with pytest.raises(VerificationFailed, match="beside a dead letter"):
        Letter.of(kept, bytes.fromhex(PLAIN))


@pytest.mark.parametrize("plain", [b"", b"\x02rest"])
def test_another_format_is_refused(plain: bytes) -> None:
    with pytest.raises(VerificationFailed, match="does not know"):
        Letter.decode(plain)
