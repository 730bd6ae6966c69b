"""Ciphers of series: so many are kept made, those beyond are made for each use, and nobody sees a difference."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway.crypto import aead
from gateway.keys.handle import SeriesKey, seal_rows
from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import Series

KEY, FIELD, TIME = bytes(range(32)), "s_1d", 1_760_000_000_000_000_000


@pytest.fixture
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gc.collect()
    held = [aead._room.pop() for _ in range(len(aead._room) - 2)]
    yield
    gc.collect()
    aead._room.extend(held)


def series(number: int) -> SeriesKey:
    name = Series("telemetry", Pseudonym(f"p{number}"), "SE3", KeyId(b""))
    return SeriesKey(name, KEY, b"place", schema=1)


def made_anew(keys: list[SeriesKey]) -> list[bool]:
    return [isinstance(key._cipher, aead.Fresh) for key in keys]


@pytest.mark.usefixtures("room_for_two")
def test_made_and_kept_or_made_anew_a_cipher_gives_the_same() -> None:
    keys = [series(number) for number in range(4)]
    assert made_anew(keys) == [False, False, True, True]
    sealed = seal_rows(keys, FIELD, [TIME] * 4, 0, b"0123" * 4)
    assert len(set(sealed)) == 1  # one key, one place
    nonce = aead.reading_nonce(TIME, 0)
    places = [key._cipher.decrypt(nonce, sealed[0], b"place" + b"\0\4" + FIELD.encode() + nonce) for key in keys]
    assert places == [b"0123"] * 4
    with pytest.raises(aead.InvalidTag):
        keys[3]._cipher.decrypt(nonce, sealed[0], b"elsewhere")


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
