"""Handles: what may be done with a customer's keys, without seeing them.

A `SubjectKey` is one key of one customer: it names series and seals records. A `SeriesKey` is that key narrowed to one
series: it seals and opens readings. Both redact their `repr` and do not pickle. They belong to the generation of the
ring that made them; the ring drops them all when the generation moves, and nobody else keeps one beyond a batch.

    window = device.at(event_time)                                 # or a Reason
    sealed = window.series[0].seal("s_1d", event_time, 0, packed)  # deterministic: again gives the same bytes

A `Device` is what a worker knows of one enrolled device: whose it was at which event time. A `Window` is the interval
of event time within which nothing about that changes: one customer, one epoch, one key version, one pseudonym.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Never

import numpy as np

from gateway.crypto import aead, derive, envelope
from gateway.crypto.derive import STORE_DOMAIN, Use
from gateway.crypto.envelope import encode_values
from gateway.crypto.secret import Secret
from gateway.errors import KeyDestroyed, VerificationFailed
from gateway.model.ids import (
    Controller,
    DeviceId,
    Incarnation,
    KeyEpoch,
    KeyId,
    Pseudonym,
    RecordId,
    epoch_of,
    epoch_start,
)
from gateway.model.sealed import Reason, Series

__all__ = ["Device", "Redacted", "SeriesKey", "Span", "SubjectKey", "Window", "encode_values", "seal_rows"]

IDENTITY_EPOCH = KeyEpoch(0)
_SHORT = (1 << 60) - 1  # an int of 32 bytes; a whole hash takes 48
_KEPT_WINDOWS = 4  # epochs of one device kept at hand: the edge of a month and some late readings
_class_of = attrgetter("key_class")


class Redacted:
    """Says what kind of capability it is and nothing more; is neither copied nor written down."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> Never:
        message = f"a {type(self).__name__} is a capability of this process and is not written down"
        raise TypeError(message)


class SeriesKey(Redacted):
    """Seals and opens the readings of one series."""

    __slots__ = ("_cipher", "_key", "_place", "series")

    def __init__(self, series: Series, key: bytes, place: envelope.SeriesPlace) -> None:
        self.series = series
        self._key = Secret(key)
        self._place = place
        self._cipher = self._made_cipher() if aead.take_room() else None

    def __del__(self, leave_room: Callable[[], None] = aead.leave_room) -> None:
        """Its cipher's room is for another series."""
        if self._cipher is not None:
            leave_room()

    def _made_cipher(self) -> tuple[aead.Cipher, bytes]:
        """Its cipher, and what all associated data of this series begin with."""
        return aead.cipher(self._key), self._place.aad(self.series.pseudonym)

    def seal(self, field: str, time: int, revision: int, plaintext: bytes) -> bytes:
        """Ciphertext and tag. `time` in ns (u64), `revision` u32; the same four give the same bytes."""
        return seal_rows([self], field, [time], revision, plaintext)[0]

    def open(self, field: str, time: int, revision: int, value: str) -> bytes:
        """The plaintext of a stored value.

        Raises:
            VerificationFailed: it was changed, stands elsewhere, or was written under another policy's schema.
        """
        return self.open_rows(field, [time], revision, [value])[0]

    def open_rows(self, field: str, times: Sequence[int], revision: int, values: Sequence[str]) -> list[bytes]:
        """The plaintexts of n stored values of one field and revision. Raises as `open`."""
        schemas, sealed = envelope.decode_values(values)
        ours = self._place.schema
        if schemas - {ours}:
            message = f"a stored reading has schema {max(schemas - {ours})}, where the policy says {ours}"
            raise VerificationFailed(message, hint="read with the policy that it was written under")
        cipher, prefix = self._cipher or self._made_cipher()
        place = prefix + _field(field)
        try:
            return [
                cipher.decrypt(nonce, part, place + nonce)
                for nonce, part in zip(aead.reading_nonces(times, revision), sealed, strict=True)
            ]
        except aead.InvalidTag:
            message = "a stored reading does not open: it was changed, or moved from where it was written"
            raise VerificationFailed(message) from None


def seal_rows(keys: Sequence[SeriesKey], field: str, times: Sequence[int], revision: int, packed: bytes) -> list[bytes]:
    """n readings of one field and revision, each under its own series: ciphertext and tag of each.

    `packed` is n plaintexts of one size, joined. One call for all: a call for each would cost a tenth of the sealing.
    """
    named, size = _field(field), len(packed) // len(keys)
    parts: list[bytes] = np.frombuffer(packed, f"V{size}").tolist() if size else [b""] * len(keys)
    return [
        cipher.encrypt(nonce, part, prefix + named + nonce)
        for key, nonce, part in zip(keys, aead.reading_nonces(times, revision), parts, strict=True)
        for cipher, prefix in (key._cipher or key._made_cipher(),)  # noqa: SLF001
    ]


class SubjectKey(Redacted):
    """One key of one customer: a class and version, from its base epoch on."""

    __slots__ = ("_csk", "_near", "base", "controller", "incarnation", "key_class", "key_id", "valid_from", "version")

    def __init__(  # noqa: PLR0913 - what a key is bound to
        self,
        csk: bytes,
        *,
        controller: Controller,
        incarnation: Incarnation,
        key_class: str,
        version: int,
        base: int,
        key_id: KeyId,
        valid_from: int = 0,
    ) -> None:
        """`valid_from`: the event time, ns, from which on it is the key of its class."""
        self._csk = Secret(csk)
        self._near: tuple[int, Secret] | None = None
        self.controller = controller
        self.incarnation = incarnation
        self.key_class = key_class
        self.version = version
        self.base = base
        self.key_id = key_id
        self.valid_from = valid_from

    def pseudonym(self, device: DeviceId, epoch: KeyEpoch, *, domain: str = STORE_DOMAIN) -> Pseudonym:
        """P of a device in one epoch and recipient domain. Raises KeyDestroyed for an epoch the ratchet has passed."""
        return derive.pseudonym(self._subkey(Use.PSEUDONYM, domain, epoch), device)

    def pseudonyms(self, devices: Iterable[DeviceId], epoch: KeyEpoch) -> list[Pseudonym]:
        """P of each, in our own store's domain. Raises as `pseudonym`."""
        return derive.pseudonyms(self._subkey(Use.PSEUDONYM, STORE_DOMAIN, epoch), devices)

    def series(
        self,
        device: DeviceId,
        epoch: KeyEpoch,
        *,
        area: str,
        domain: str = STORE_DOMAIN,
        schema: int = envelope.SCHEMA,
    ) -> SeriesKey:
        """The device's series in one epoch, its values in the policy's `schema`.

        Raises:
            KeyDestroyed: the ratchet has passed that epoch.
        """
        name = self.pseudonym(device, epoch, domain=domain)
        key = derive.series_key(self._subkey(Use.SEAL, domain, epoch), name)
        place = _place(self.controller, domain, epoch, self.version, self.key_class, schema)
        return SeriesKey(Series(self.key_class, name, area, self.key_id), key, place)

    def rest(self) -> None:
        """Nothing will be asked of it soon: forget the month that the last question was about."""
        self._near = None

    def seal_record(
        self, plaintext: bytes, *, kind: str, record_id: RecordId, epoch: KeyEpoch = IDENTITY_EPOCH
    ) -> bytes:
        """A document of this customer. `epoch` is the month it is about; 0 in class identity."""
        key = self._subkey(Use.RECORD, kind, epoch)
        return envelope.seal_record(key, plaintext, self._record_place(kind, record_id, epoch))

    def open_record(self, sealed: bytes, *, kind: str, record_id: RecordId, epoch: KeyEpoch = IDENTITY_EPOCH) -> bytes:
        """Raises VerificationFailed when it was changed or moved."""
        key = self._subkey(Use.RECORD, kind, epoch)
        return envelope.open_record(key, sealed, self._record_place(kind, record_id, epoch))

    def _subkey(self, use: Use, domain: str, epoch: KeyEpoch) -> bytes:
        csk = self._csk_at(epoch)
        return derive.subkey(csk, use=use, controller=self.controller, version=self.version, domain=domain, epoch=epoch)

    def _csk_at(self, epoch: KeyEpoch) -> bytes:
        if epoch < self.base:
            message = "this key has moved past that month; what was sealed then cannot be read by anyone"
            raise KeyDestroyed(message, hint="ask for a time within retention")
        near = self._near
        at, csk = near if near is not None and near[0] <= epoch else (self.base, self._csk)
        if epoch != at:
            csk = Secret(derive.ratchet(csk, epoch - at))
        self._near = (epoch, csk)  # most questions are about one month
        return csk

    def _record_place(self, kind: str, record_id: RecordId, epoch: KeyEpoch) -> envelope.RecordPlace:
        return envelope.RecordPlace(
            controller=self.controller,
            incarnation=self.incarnation,
            key_class=self.key_class,
            version=self.version,
            epoch=epoch,
            kind=kind,
            record_id=record_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An interval of event time within which one customer's keys, or one reason to refuse, holds for a device.

    `keys` has the versions of each class of readings, in the ring's order of classes, oldest version first; where
    `reason` is `suspended` those of the first class, which dead letters are under. `permitted` is the mask of
    quantities with a live purpose.
    """

    starts: int
    ends: int
    reason: Reason | None = None
    keys: tuple[SubjectKey, ...] = ()
    area: str = ""
    permitted: int = 0


class Window(Redacted):
    """An interval of event time, ns, within which a device has one customer, one epoch and one key version a class.

    `series` is in the ring's order of classes, None where the class's horizon has passed this epoch. `barred` has a bit
    set for every quantity that is not let through without a closer look: not permitted, or in a window that lacks a
    series.
    """

    __slots__ = ("barred", "ends", "permitted", "series", "starts")

    def __init__(self, starts: int, ends: int, permitted: int, series: tuple[SeriesKey | None, ...]) -> None:
        self.starts = starts
        self.ends = ends
        self.permitted = permitted
        self.series = series
        self.barred = -1 if None in series else _all_but(permitted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What devices that were looked up together have in common: controller, the policy's schema, what has expired.

    `name_of` gives a device's name of what it is called by, its topic: a second string for each would be kept for ever,
    and is asked for when it is made, and once a month.
    """

    controller: Controller = Controller("")  # noqa: RUF009 - a string
    schema: int = envelope.SCHEMA
    expired: Span | None = None
    name_of: Callable[[str], DeviceId] = DeviceId


class Device(Redacted):
    """One enrolled device as a worker knows it. `newest` is the window used last: most readings fall into it again.

    `mark` is the same whatever the device is called by, and in every generation of the ring; it is no other device's in
    this process, and nothing in the next one.
    """

    __slots__ = ("_called", "_common", "_spans", "_windows", "mark", "newest")

    def __init__(self, called: str, spans: Sequence[Span], common: Common) -> None:
        self.mark = hash((common.controller, common.name_of(called))) & _SHORT
        self._called = called
        self._common = common
        self._spans = tuple(spans)
        self._windows: tuple[Window, ...] = ()
        self.newest = _NEVER

    @property
    def controller(self) -> Controller:
        """Whose it is."""
        return self._common.controller

    def outlasts(self, gone: Collection[Incarnation]) -> bool:
        """Whether it was never theirs, and nothing of it is refused but what is too old.

        Where there is a fence, a suspension or a row that did not open, it cannot be told whose it was. All devices are
        asked before a generation is acknowledged, so in a loop that makes nothing.
        """
        for span in self._spans:
            if span.reason is not None or not span.keys or span.keys[0].incarnation in gone:
                return False
        return True

    def at(self, time: int) -> Window | Reason:
        """The window that an event time falls into, or why there is none."""
        for window in self._windows or (self.newest,):
            if window.starts <= time < window.ends:
                self.newest = window
                return window
        expired = self._common.expired
        if expired is not None and expired.starts <= time < expired.ends:
            return Reason.TOO_OLD
        for span in self._spans:
            if span.starts <= time < span.ends:
                return span.reason or self._opened(span, time)
        return Reason.UNKNOWN_DEVICE

    def letter_key(self, arrived: int) -> SubjectKey | Reason | None:
        """The key for a dead letter of this device that arrived at `arrived` (wall time, ns).

        `erased`: it is not kept. None: no customer's key is to be had, or the device has changed hands, so that a
        letter which nobody could read may be of either.
        """
        spans = self._spans
        if any(span.reason is Reason.ERASED and span.starts <= arrived < span.ends for span in spans):
            return Reason.ERASED
        valid = [
            key
            for span in spans
            for key in span.keys
            if key.key_class == span.keys[0].key_class and key.valid_from <= arrived
        ]
        owners = {key.incarnation for key in valid}
        if len(owners) != 1 or any(span.reason is Reason.ERASED for span in spans):
            return None
        return max(valid, key=lambda key: key.version)

    def _opened(self, span: Span, time: int) -> Window | Reason:
        epoch = epoch_of(time)
        starts, ends = max(span.starts, epoch_start(epoch)), min(span.ends, epoch_start(epoch + 1))
        series: list[SeriesKey | None] = []
        name, schema = self._common.name_of(self._called), self._common.schema
        for _class, versions in groupby(span.keys, key=_class_of):
            earlier, later = _divided(versions, time)
            key = earlier[-1]
            starts, ends = max(starts, key.valid_from), min([ends, *(following.valid_from for following in later)])
            living = epoch >= key.base
            series.append(key.series(name, epoch, area=span.area, schema=schema) if living else None)
            key.rest()  # of a device that sends, its window is what is asked
        if not any(series):
            return Reason.TOO_OLD
        opened = Window(starts, ends, span.permitted, tuple(series))
        kept = self._windows or (self.newest,) * (self.newest is not _NEVER)
        self._windows = (opened, *kept[: _KEPT_WINDOWS - 1]) if kept else ()  # the only one is `newest`
        self.newest = opened
        return opened


def _divided(versions: Iterable[SubjectKey], time: int) -> tuple[list[SubjectKey], list[SubjectKey]]:
    """Those that are valid by an event time, and those that are so later; each oldest first."""
    divided: tuple[list[SubjectKey], list[SubjectKey]] = ([], [])
    for key in versions:
        divided[key.valid_from > time].append(key)
    return divided


# What many devices have in common is one object for all.


@lru_cache(maxsize=4096)
def _place(  # noqa: PLR0913, PLR0917 - the fixed part of the formula
    controller: Controller, domain: str, epoch: KeyEpoch, version: int, key_class: str, schema: int
) -> envelope.SeriesPlace:
    return envelope.SeriesPlace(
        controller=controller, domain=domain, epoch=epoch, version=version, measurement=key_class, schema=schema
    )


@lru_cache(maxsize=4096)
def _all_but(permitted: int) -> int:
    return ~permitted


_NEVER = Window(1, 0, 0, ())


@lru_cache(maxsize=4096)
def _field(name: str) -> bytes:
    return derive.lp(name.encode())
