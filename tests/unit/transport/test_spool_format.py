"""The byte format of the spool, as docs/formats/spool.md has it: for ever."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from gateway.errors import VerificationFailed
from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import SealedPoint, Series
from gateway.transport.spool.record import Damage, Record, encode, scan, void
from gateway.transport.spool.segment import Cursor, read_cursor

SERIES = Series("telemetry", Pseudonym("abcdefghijklmnopqrstuvwxyz"), "SE3", KeyId(bytes(range(16))))
SEALED = SealedPoint(SERIES, 1_700_000_000_000_000_000, "s_1d", "AQEabc", (("battery", 80.5),))
CLEAR = SealedPoint(SERIES, 1, "", "", (("power", -0.0), ("valve_r2", 1e300)))
RECORD = (
    "f567730100000065"
    "9901c410000102030405060708090a0b0c0d0e0fa974656c656d65747279ba6162636465666768696a6b6c6d6e6f707172737475767778797a"
    "a3534533cf17979cfe362a0000a4735f3164a64151456162639192a762617474657279cb4054200000000000"
)


def test_a_record_is_what_it_was_in_version_1() -> None:
    body = bytes.fromhex(RECORD)[8:]
    crc = zlib.crc32(len(body).to_bytes(4, "big") + body).to_bytes(4, "big")
    assert encode([SEALED]) == bytes.fromhex(RECORD) + crc
    (found,) = scan(bytes.fromhex(RECORD) + crc)
    assert isinstance(found, Record)
    assert (found.key_id, found.point()) == (SERIES.key_id, SEALED)


def test_a_cursor_is_what_it_was_in_version_2() -> None:
    body = bytes.fromhex("02" + "0000000000000003" + "0000000000001007" + "89abcdef")
    assert Cursor(3, 0x1007).encode(0x89ABCDEF) == body + zlib.crc32(body).to_bytes(4, "big")


def test_a_cursor_of_version_1_is_understood(tmp_path: Path) -> None:
    body = bytes.fromhex("01" + "0000000000000003" + "0000000000001007")
    (tmp_path / "cursor").write_bytes(body + zlib.crc32(body).to_bytes(4, "big"))
    assert read_cursor(tmp_path) == Cursor(3, 0x1007)


@pytest.mark.parametrize("point", [SEALED, CLEAR])
def test_points_come_back_whole(point: SealedPoint) -> None:
    (found,) = scan(encode([point]))
    assert isinstance(found, Record)
    assert found.point() == point
    assert found.key_id == point.series.key_id


def test_a_void_is_a_record_of_the_same_length() -> None:
    one = encode([SEALED])
    data = one + void(len(one)) + one
    assert [(type(found), found.start, found.end) for found in scan(data)] == [
        (Record, n * len(one), (n + 1) * len(one)) for n in range(3)
    ]


def test_what_no_version_wrote_is_no_point() -> None:
    body = bytes.fromhex("9901c410") + bytes(16) + b"\xc0" * 8
    head = bytes.fromhex("f5677301") + len(body).to_bytes(4, "big")
    (found,) = scan(head + body + zlib.crc32(head[4:] + body).to_bytes(4, "big"))
    assert isinstance(found, Record)
    with pytest.raises(VerificationFailed, match="a kept point has a format"):
        found.point()


def test_a_later_version_is_passed_over() -> None:
    one = encode([SEALED])
    later = one[:3] + b"\x02" + one[4:]
    assert [type(found) for found in scan(later + one)] == [Damage, Record]
