"""The cryptography of a turnover's pages: ratchet to the horizon, rewrap under KEK_e, rehash under R_e.

    CSK at base, under an older KEK  ->  CSK at max(base, horizon), under KEK_e, its commitment replaced if it moved
    route under an older R           ->  the same id, from its record under the identity key, hashed under R_e
    secret under an older KEK        ->  the same secret under KEK_e

A row that does not open is named and left as it is: the caller puts it into quarantine. A held key (`deactivated`) is
not ratcheted before its date. Ciphers and what is common to all rows are made once a page: a million rows go by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.crypto import aead, derive, envelope
from gateway.crypto.derive import Kind
from gateway.crypto.envelope import CskPlaces, RecordPlaces, RowKind, RowPlace, Wrapping
from gateway.errors import VerificationFailed
from gateway.keys.handle import Redacted
from gateway.keys.lifecycle import KeyState
from gateway.model.ids import Controller, Incarnation, RouteId

IDENTITY = "identity"
CUSTOMER, DEVICE = "customer", "device"  # kinds of records that say what a route hashes; see keys.subject


@dataclass(slots=True)
class Page:
    """What a page comes to: rows to write, for `keystore.turnovers`, and ids of rows that do not open."""

    rewrapped: list[dict[str, object]] = field(default_factory=list)
    ratcheted: list[dict[str, object]] = field(default_factory=list)
    lost: list[bytes] = field(default_factory=list)


class _Named(msgspec.Struct):
    """The parts of an identity record that name somebody."""

    customer: str = ""
    device: str = ""
    route: str = ""


_named = msgspec.json.Decoder(_Named).decode


class Rewrapping(Redacted):
    """One page's worth of unwrapped KEKs."""

    def __init__(
        self,
        controller: Controller,
        e: int,
        *,
        keks: Mapping[int, bytes],
        route_secret: bytes,
        horizons: Mapping[str, int],
    ) -> None:
        self._controller = controller
        self._e = e
        self._wrappings = {n: Wrapping(kek) for n, kek in keks.items()}
        self._places = CskPlaces(controller)
        self._route = derive.route_hasher(route_secret, controller=controller)
        self._horizons = horizons
        self._record_keys = derive.RecordKeys(controller)
        self._record_places = RecordPlaces(controller)

    def keys(self, page: Sequence[Any]) -> Page:
        """Rows of `turnovers.page_of_keys`."""
        done, wrap, to = Page(), self._wrappings[self._e].wrap, self._e
        horizons, place = self._horizons, self._places.aad
        for nonce, row in zip(aead.random_nonces(len(page)), page, strict=True):
            key_id, incarnation, key_class, version, base, e, wrapped, commitment, state, of = row
            aad = place(key_id, incarnation, key_class, version, base)
            try:
                csk = self._wrappings[e].unwrap(wrapped, aad)
            except (VerificationFailed, KeyError):
                done.lost.append(key_id)
                continue
            horizon = base if state == KeyState.DEACTIVATED else horizons.get(key_class, base)
            if horizon <= base:
                done.rewrapped.append({"of": of, "to": to, "row": wrap(nonce, csk, aad)})
            elif derive.commitment(csk, key_id=key_id, version=version, base=base) != commitment:
                done.lost.append(key_id)
            else:
                csk = derive.ratchet(csk, horizon - base)
                aad = place(key_id, incarnation, key_class, version, horizon)
                commit = derive.commitment(csk, key_id=key_id, version=version, base=horizon)
                changed = {"of": of, "to": to, "row": wrap(nonce, csk, aad), "at": horizon, "commit": commit}
                done.ratcheted.append(changed)
        return done

    def routes(self, page: Sequence[Any], identities: Mapping[Incarnation, Any], records: Sequence[Any]) -> Page:
        """Rows of `turnovers.page_of_routes`, with the identity keys and records of their incarnations."""
        customers, devices = self._names(identities, records)
        done, to = Page(), self._e
        for route_id, kind, incarnation, of in page:
            name = customers.get(incarnation) if kind == Kind.CUSTOMER else devices.get(route_id)
            if name is None:
                done.lost.append(route_id)
            else:
                done.rewrapped.append({"of": of, "to": to, "mark": self._route(Kind(kind), name)})
        return done

    def secrets(self, page: Sequence[Any]) -> Page:
        """Rows of `turnovers.page_of_secrets`."""
        done = Page()
        for row in page:
            place = RowPlace(
                controller=self._controller, kind=RowKind(row.kind), key_id=row.key_id, version=row.version
            )
            try:
                secret = self._wrappings[row.e].unwrap(row.wrapped, place.aad())
            except (VerificationFailed, KeyError):
                done.lost.append(row.key_id)
                continue
            (nonce,) = aead.random_nonces(1)
            fresh = self._wrappings[self._e].wrap(nonce, secret, place.aad())
            done.rewrapped.append({"of": row.place, "to": self._e, "row": fresh})
        return done

    def _names(
        self, identities: Mapping[Incarnation, Any], records: Sequence[Any]
    ) -> tuple[dict[Incarnation, str], dict[RouteId, str]]:
        """Customer ids by incarnation and device ids by route, of all records that open."""
        customers: dict[Incarnation, str] = {}
        devices: dict[RouteId, str] = {}
        opened = {incarnation: (self._csk(row), row[3]) for incarnation, row in identities.items()}
        key_of, place = self._record_keys.of, self._record_places.aad
        for record_id, incarnation, kind, sealed in records:
            csk, version = opened.get(incarnation, (None, 0))
            if csk is None:
                continue
            key = key_of(csk, version=version, kind=kind, epoch=0)
            aad = place(incarnation, IDENTITY, version, 0, kind, record_id)
            try:
                named = _named(envelope.open_record(key, sealed, aad))
            except (VerificationFailed, msgspec.DecodeError):
                continue
            if kind == CUSTOMER and named.customer:
                customers[incarnation] = named.customer
            elif kind == DEVICE and named.device:
                devices[RouteId(bytes.fromhex(named.route))] = named.device
        return customers, devices

    def _csk(self, row: Any) -> bytes | None:  # noqa: ANN401 - a row of columns
        key_id, incarnation, key_class, version, base, e, wrapped, _commitment, _state = row
        try:
            return self._wrappings[e].unwrap(wrapped, self._places.aad(key_id, incarnation, key_class, version, base))
        except (VerificationFailed, KeyError):
            return None
