"""Defences of what is sealed, and of names, taken out one by one: see `mutations`."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.crypto import aead, derive, envelope
from gateway.keys import handle
from gateway.keys.custodian import FileCustodian
from gateway.keys.handle import Device, SeriesKey, SubjectKey, Window
from gateway.model.ids import Controller, Pseudonym, epoch_of, epoch_start
from gateway.model.sealed import Reason, sealed_field
from gateway.pipeline import seal, times
from tests.attacks.mutations import Patch, kills

_HOUR = 3600 * 10**9


@kills("11", "test_every_candidate_is_tried_in_vain", "test_after_erasure_too")
def unkeyed_hashes(patch: Patch, _part: str) -> None:
    """Identifiers are hashed as everyone hashes them: without a key."""

    def unkeyed(*_secret_label_controller: object) -> Callable[[object, str], bytes]:
        return lambda _kind, name: sha256(name.encode()).digest()

    patch.setattr(derive, "_hasher", unkeyed)
    patch.setattr(derive, "_keyed_hash", lambda secret, label, of, kind, name: unkeyed(secret, label, of)(kind, name))


@kills("11", "test_every_candidate_is_tried_in_vain", "test_after_erasure_too")
def secrets_lie_beside(patch: Patch, _part: str) -> None:
    """Hashes are keyed, and their key stands in the key store as it is."""
    patch.setattr(envelope, "wrap", lambda _kek, secret, _place: derive.u8(1) + secret)
    patch.setattr(envelope, "unwrap", lambda _kek, wrapped, _place: wrapped[1:])


@kills("15", "test_no_identifier_and_no_value_in_any_file")
def pass_through(patch: Patch, _part: str) -> None:
    """What should be sealed goes out as it is."""

    def not_sealed(keys: list[SeriesKey], _field: str, _times: list[int], _revision: int, packed: bytes) -> list[bytes]:
        size = len(packed) // len(keys)
        return [packed[at : at + size] + bytes(aead.TAG_BYTES) for at in range(0, len(packed), size)]

    patch.setattr(seal, "seal_rows", not_sealed)
    patch.setattr(
        SeriesKey,
        "open_rows",
        lambda _key, _f, _t, _r, values: [sealed[:-16] for sealed in envelope.decode_values(values)[1]],
    )


@kills("15", "test_no_identifier_and_no_value_in_any_file")
def records_as_they_are(patch: Patch, _part: str) -> None:
    """Who lives where stands in the key store for everyone to read."""
    patch.setattr(envelope, "seal_record", lambda _key, plaintext, _place: derive.u8(1) + plaintext)
    patch.setattr(envelope, "open_record", lambda _key, record, _place: record[1:])


@kills(
    "15",
    "test_without_the_custodian_nothing_is_emitted",
    "test_a_controller_whose_key_is_missing_stops_the_batch",
)
def a_custodian_that_is_not_asked(patch: Patch, _part: str) -> None:
    """The wrapping key is built in, so that nobody notices that the custodian is away."""
    patch.setattr(FileCustodian, "_read", lambda _custodian, _controller, _e: bytes(derive.KEY_BYTES))


@kills("15", "test_a_controller_whose_key_is_missing_stops_the_batch")
def anyone_may_read_the_key(patch: Patch, _part: str) -> None:
    """A key file's mode is put right in silence."""
    read = FileCustodian._read

    def obliging(custodian: FileCustodian, controller: Controller, e: int) -> bytes:
        custodian._file(controller, e).chmod(0o600)
        return read(custodian, controller, e)

    patch.setattr(FileCustodian, "_read", obliging)


@kills("15", "test_no_identifier_and_no_value_in_the_dead_letters")
def letters_as_they_came(patch: Patch, _part: str) -> None:
    """What could not be stored is kept as it came, where it belongs to nobody."""
    patch.setattr(envelope, "seal_letter", lambda _key, plaintext, **_place: derive.u8(1) + plaintext)


@kills("15", "test_no_identifier_and_no_value_in_the_dead_letters")
def letters_of_customers_as_they_came(patch: Patch, _part: str) -> None:
    """Or where it belongs to somebody."""
    records_as_they_are(patch, _part)


@kills("20", "test_two_values_under_one_nonce_give_nothing_away")
def a_cipher_that_repeats_break(patch: Patch, _part: str) -> None:
    """GCM, which a repeated nonce breaks."""
    patch.setattr(aead, "cipher", AESGCM)


@kills("20", "test_the_revision_alone_makes_another_ciphertext")
def no_revision_in_the_nonce(patch: Patch, _part: str) -> None:
    """A correction is sealed under the nonce of what it corrects."""
    _nonce(patch, lambda at, _revision: struct.pack(">QI", at, 0))


def _nonce(patch: Patch, of: Callable[[int, int], bytes]) -> None:
    """Another nonce for each reading, one by one and many together."""
    patch.setattr(aead, "reading_nonce", of)
    patch.setattr(aead, "reading_nonces", lambda times, revision: [of(at, revision) for at in times])


@kills("20", "test_a_correction_is_another_field_under_another_nonce")
def corrections_as_with_pads(patch: Patch, _part: str) -> None:
    """Both at once: the difference of two versions is the difference of their values."""
    a_cipher_that_repeats_break(patch, _part)
    no_revision_in_the_nonce(patch, _part)


@kills(
    "20",
    "test_a_correction_is_another_field_under_another_nonce",
    "test_a_redelivered_first_version_does_not_undo_a_correction",
)
def no_revision_in_the_field(patch: Patch, _part: str) -> None:
    """A correction is written over what it corrects, and the other way round."""
    patch.setattr(seal, "sealed_field", lambda mask, _revision: sealed_field(mask, 0))


_CONSTANT: dict[str, Any] = {
    "controller": "", "domain": "", "epoch": 0, "version": 0, "measurement": "", "schema": 0,
}  # fmt: skip


def _leave_out(patch: Patch, part: str) -> None:
    """One part of the associated data is the same for every place."""
    handle._place.cache_clear()
    whole = envelope.SeriesPlace
    if part == "name":
        patch.setattr(whole, "aad", lambda place, _name, aad=whole.aad: aad(place, ""))
    else:
        patch.setattr(envelope, "SeriesPlace", partial(_place_without, whole, part))


def _place_without(whole: type[envelope.SeriesPlace], part: str, **place: Any) -> envelope.SeriesPlace:  # noqa: ANN401
    made = whole(**(place | {part: _CONSTANT[part]}))
    made.schema = place["schema"]  # which a reader asks for beside
    return made


@kills("21", "test_it_does_not_open_elsewhere_under_the_same_key[*]")
def one_part_not_in_the_seal(patch: Patch, part: str) -> None:
    """What the case moves is not in the associated data."""
    _leave_out(patch, part)


@kills("21", "test_it_does_not_open_elsewhere[*]")
def one_part_nowhere(patch: Patch, part: str) -> None:
    """What the case moves is neither in the associated data, nor in the key, nor in the nonce."""
    _leave_out(patch, {"pseudonym": "name"}.get(part, part)) if part not in {"field", "time", "revision"} else None
    subkey, series_key, nonce = derive.subkey, derive.series_key, aead.reading_nonce
    if part in {"controller", "version", "domain", "epoch"}:
        patch.setattr(derive, "subkey", lambda csk, **place: subkey(csk, **(place | {part: _CONSTANT[part]})))
    match part:
        case "pseudonym":
            patch.setattr(derive, "series_key", lambda key, _name: series_key(key, Pseudonym("")))
        case "epoch":
            patch.setattr(SubjectKey, "_csk_at", lambda key, _epoch: key._csk)
        case "field":
            patch.setattr(handle, "_field", lambda _name: b"")
        case "time":
            _nonce(patch, lambda _at, revision: nonce(0, revision))
        case "revision":
            _nonce(patch, lambda at, _revision: nonce(at, 0))


class _NoTag:
    """Encrypts, and believes whatever it decrypts."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, _aad: bytes) -> bytes:
        made = Cipher(algorithms.AES(self._key), modes.CTR(nonce + bytes(4))).encryptor()
        return made.update(data) + bytes(aead.TAG_BYTES)

    def decrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
        return self.encrypt(nonce, data[: -aead.TAG_BYTES], aad)[: -aead.TAG_BYTES]


@kills("21", "test_every_bit_counts", "test_a_read_of_a_changed_store_fails[*]")
def nothing_verified(patch: Patch, _part: str) -> None:
    """A cipher without a tag."""
    patch.setattr(aead, "cipher", _NoTag)


@kills("23", "test_one_name_on_each_side_of_a_month[*]", "test_every_hour_of_a_year_has_the_name_of_its_month")
def epochs_of_local_time(patch: Patch, _part: str) -> None:
    """Months begin with Stockholm's winter clock."""
    patch.setattr(handle, "epoch_of", lambda at: epoch_of(at + _HOUR))
    patch.setattr(handle, "epoch_start", lambda epoch: epoch_start(epoch) - _HOUR)


@kills("23", "test_the_zone_of_a_clock_does_not_matter")
def offsets_are_not_read(patch: Patch, _part: str) -> None:
    """Whatever zone a time is said in, its digits are taken for UTC."""
    patch.setattr(times, "_tail", lambda _text: 0)


@kills("23", "test_arrival_does_not_name")
def named_at_arrival(patch: Patch, _part: str) -> None:
    """A reading gets the name of the month in which it comes."""
    at = Device.at

    def on_arrival(device: Device, _event_time: int) -> Window | Reason:
        found = at(device, time.time_ns())
        device.newest = Window(1, 0, 0, ())
        return found

    patch.setattr(Device, "at", on_arrival)


@kills("22", "test_only_equality_shows")
def gcm_for_clones(patch: Patch, part: str) -> None:
    """A cipher that repeated nonces break."""
    a_cipher_that_repeats_break(patch, part)
