"""Ciphers of series: so many are kept made, those beyond are made for each use, and nobody sees a difference."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway.crypto import aead, envelope
from gateway.errors import VerificationFailed
from gateway.keys.handle import SeriesKey, encode_values, seal_rows
from gateway.model.ids import KeyId, Pseudonym, parse_controller
from gateway.model.sealed import Series

KEY, FIELD, TIME = bytes(range(32)), "s_1d", 1_760_000_000_000_000_000
PLACE = envelope.SeriesPlace(
    controller=parse_controller("one"), domain="store", epoch=670, version=1, measurement="telemetry"
)


@pytest.fixture
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gc.collect()
    held = [aead._room.pop() for _ in range(len(aead._room) - 2)]
    yield
    gc.collect()
    aead._room.extend(held)


def series(number: int) -> SeriesKey:
    name = Series("telemetry", Pseudonym("p"), "SE3", KeyId(bytes([number])))
    return SeriesKey(name, KEY, PLACE)


def made_anew(keys: list[SeriesKey]) -> list[bool]:
    return [key._cipher is None for key in keys]


@pytest.mark.usefixtures("room_for_two")
def test_made_and_kept_or_made_anew_a_cipher_gives_the_same() -> None:
    keys = [series(number) for number in range(4)]
    assert made_anew(keys) == [False, False, True, True]
    sealed = seal_rows(keys, FIELD, [TIME] * 4, 0, b"0123" * 4)
    assert len(set(sealed)) == 1  # one key, one place
    nonce = aead.reading_nonce(TIME, 0)
    aad = PLACE.aad(Pseudonym("p")) + b"\0\4" + FIELD.encode() + nonce
    assert aead.cipher(KEY).decrypt(nonce, sealed[0], aad) == b"0123"
    (value,) = encode_values(sealed[:1])
    assert [key.open(FIELD, TIME, 0, value) for key in keys] == [b"0123"] * 4
    for key in keys:
        with pytest.raises(VerificationFailed):
            key.open(FIELD, TIME + 1, 0, value)


@pytest.mark.usefixtures("room_for_two")
def test_a_series_that_is_dropped_leaves_its_room() -> None:
    first, second, third = series(1), series(2), series(3)
    assert made_anew([first, second, third]) == [False, False, True]
    del first
    del third  # had none to leave
    kept = [series(4), series(5)]
    assert made_anew(kept) == [False, True]
    del second, kept
    assert len(aead._room) == 2
