"""Secrets: bytes as others are, shown as nothing, and gone when nobody holds them."""

from __future__ import annotations

import copy
import pickle
import secrets

import pytest

from gateway.crypto import aead, derive
from gateway.crypto.secret import Secret

RAW = secrets.token_bytes(32)


def test_it_derives_and_seals_as_the_same_bytes_do() -> None:
    assert Secret(RAW) == RAW
    assert derive.ratchet(Secret(RAW), 3) == derive.ratchet(RAW, 3)
    nonce = bytes(12)
    assert aead.cipher(Secret(RAW)).encrypt(nonce, b"21.5", b"") == aead.cipher(RAW).encrypt(nonce, b"21.5", b"")


@pytest.mark.parametrize("size", [0, 1, 32, 33])
def test_at_its_end_all_of_it_is_overwritten_and_nothing_else(size: int) -> None:
    """As the interpreter does it; what is left in memory is looked for in attack 10."""
    original, before, after = (secrets.token_bytes(size) for _ in range(3))
    held = [Secret(before), Secret(original), Secret(after)]
    held[1].__del__()
    assert held == [before, bytes(size), after]
    assert Secret(original) == original


def test_it_shows_nothing_and_is_not_written_down() -> None:
    for text in (repr(Secret(RAW)), str(Secret(RAW)), f"{Secret(RAW)}"):
        assert text == "<Secret>"
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="is not written down"):
            write(Secret(RAW))
