"""Each attack's defence, taken out: what `--without-defence NN` does before the test of attack NN runs.

A test of an attack that still passes without its defence proves nothing. `test_bite.py` runs each so, in a process of
its own, and wants it to fail.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.control import erasure
from gateway.crypto import derive, envelope
from gateway.keys import handle
from gateway.keys.handle import SeriesKey
from gateway.model.ids import epoch_of, epoch_start
from gateway.pipeline import seal
from gateway.transport import lineprotocol
from gateway.transport.ingest import Session

_HOUR = 3600 * 10**9


def no_fences(patch: pytest.MonkeyPatch) -> None:
    """3: an erasure leaves no fence, so that a late message finds an unknown device, and enrolment a free name."""
    patch.setattr(erasure, "fences_of", lambda *_args, **_named: [])


def unkeyed_hashes(patch: pytest.MonkeyPatch) -> None:
    """11: identifiers are hashed as everyone hashes them: without a key."""
    patch.setattr(
        derive, "_keyed_hash", lambda _secret, _label, _controller, _kind, name: sha256(name.encode()).digest()
    )


def one_key_for_all(patch: pytest.MonkeyPatch) -> None:
    """12: every customer gets the same secret."""
    patch.setattr("gateway.keys.lineage.secrets.token_bytes", lambda size: b"\x07" * size)


def pass_through(patch: pytest.MonkeyPatch) -> None:
    """15: what should be sealed goes out as it is."""
    patch.setattr(seal, "seal_rows", _not_sealed)


def _not_sealed(keys: list[SeriesKey], _field: str, _times: list[int], _revision: int, packed: bytes) -> list[bytes]:
    size = len(packed) // len(keys)
    return [packed[at : at + size] + bytes(16) for at in range(0, len(packed), size)]


def nonce_in_the_clear(patch: pytest.MonkeyPatch) -> None:
    """20: a cipher that a repeated nonce breaks."""
    patch.setattr("gateway.keys.handle.aead.cipher", AESGCM)


def no_place_in_the_seal(patch: pytest.MonkeyPatch) -> None:
    """21: ciphertext is not bound to where it stands."""
    patch.setattr(envelope, "series_aad", lambda **_place: b"")
    patch.setattr(handle, "_field", lambda _name: b"")


def epochs_of_local_time(patch: pytest.MonkeyPatch) -> None:
    """23: months begin with Stockholm's winter clock."""
    patch.setattr(handle, "epoch_of", lambda time: epoch_of(time + _HOUR))
    patch.setattr(handle, "epoch_start", lambda epoch: epoch_start(epoch) - _HOUR)


def nothing_escaped(patch: pytest.MonkeyPatch) -> None:
    """28: strings go into a line as they are."""
    for name in ("escape_tag", "escape_string", "sealed_name", "clear_name"):
        patch.setattr(lineprotocol, name, lambda text: text)


def any_connection(patch: pytest.MonkeyPatch) -> None:
    """30: an acknowledgement is sent on whatever connection there is."""
    patch.setattr(Session, "_is_current", staticmethod(lambda _generation, _current: True))


MUTATIONS: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "03": no_fences,
    "11": unkeyed_hashes,
    "12": one_key_for_all,
    "15": pass_through,
    "20": nonce_in_the_clear,
    "21": no_place_in_the_seal,
    "23": epochs_of_local_time,
    "28": nothing_escaped,
    "30": any_connection,
}
