"""Step 2 of an erasure: one transaction. After it nobody begins a use of the keys, and what is to go is written down.

Keys become `erasing`, and those that a law keeps `deactivated`, with the device ids that they are about re-sealed under
them. Fences stop the ids, what is to be deleted is captured under a purge key, accounts are opened for all who may hold
something, and the generation rises.

    withdrawal.of_customer(act, lineage, incarnation, erasure, intent)    # what laws keep stands in the intent
    withdrawal.of_held(act, lineage, incarnation, erasure, keys)          # at a law's date
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from gateway.control import accounting
from gateway.control import customer as customers
from gateway.control.certificate import named
from gateway.control.chain import Value
from gateway.control.guard import ns_of
from gateway.control.purge import Step
from gateway.control.role import Act, Control
from gateway.errors import IntegrityStop, KeyDestroyed, VerificationFailed
from gateway.keys.capture import Capture, collect, letter_keys
from gateway.keys.custodian import Custodian
from gateway.keys.fencing import fence_lines, fences_of, secret_of
from gateway.keys.holding import held_devices, reseal_devices
from gateway.keys.lifecycle import KeyState, move
from gateway.keys.lineage import IDENTITY, Lineage
from gateway.keys.subject import Subject, open_subject
from gateway.keystore import accounts, acts, rows, subjects, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Incarnation, KeyEpoch, KeyId, epoch_of, epoch_start
from gateway.policy.rules import Policy

_SECOND = 1_000_000_000
_SEALED_UNTIL = 86_400 * _SECOND  # after the capture, a worker may seal until its lease is over, at most an hour

_DAMAGED = (
    "bring their rows of table `keys` back from a backup made since the last turnover (`glomska keys restore`), then "
    "repeat; until then they cannot be erased, and all others can"
)


class Withdrawal:
    """Over one key store and its ledger, under the policy that is in use when it is asked for."""

    def __init__(self, control: Control, custodian: Custodian, policy: Callable[[], Policy]) -> None:
        self._control = control
        self._clock = control.clock
        self._custodian = custodian
        self._policy = policy

    def holds(self, *, since: int | None = None) -> dict[str, Value]:
        """What laws keep of who is erased now, as an intent says it: a recovery keeps the same, till the same date.

        `holds` are CLASS=EPOCH, the month with which the date comes; `laws` are their names. `since`: when (ns) the
        intent was written, where that was earlier.
        """
        laws, month = sorted(self._policy().holds.items()), epoch_of(self._clock.wall() if since is None else since)
        return {
            "holds": [f"{name}={month + hold.months + 1}" for name, hold in laws],
            "laws": [hold.law for _name, hold in laws],
        }

    def of_customer(
        self, act: Act, lineage: Lineage, incarnation: Incarnation, erasure: bytes, intent: Mapping[str, Value]
    ) -> None:
        """Everything of a customer of whom no erasure has begun. Raises KeyDestroyed, VerificationFailed."""
        tx, now = act.tx, self._clock.wall()
        lineage.hold(tx)
        key_rows = customers.living_keys(tx, incarnation)
        subject = _opened(lineage, incarnation, key_rows)
        told = "holds" in intent  # earlier versions did not say
        laws = _laws(intent if told else self.holds(since=ns_of(str(intent["time"]))))
        held = sorted(laws.keys() & subject.keys.keys() - {IDENTITY})
        capture = collect(
            tx,
            subject,
            key_rows,
            newest=self._newest(now),
            operations=letter_keys(tx, self._custodian, lineage),
            held=held,
        )
        fences = fences_of(tx, lineage, subject, erasure=erasure, now=now, noted=self._noted)
        subjects.add_fences(tx, fences)
        self._control.ledger.append_fences(fence_lines(tx, lineage, fences))
        subjects.add_records(tx, reseal_devices(tx, subject, held, epoch=epoch_of(now)))
        kept = [row for row in key_rows if row.key_class in held and row.state != KeyState.DESTROYED]
        _keep(tx, kept, erasure, laws, now=now)
        going = [row for row in key_rows if row.key_class not in held]
        self._begin(act, lineage, incarnation, erasure, going, capture, fences=len(fences))

    def _noted(self) -> list[rows.Secret]:
        """Fence secrets in the fence file. Raises Unreachable."""
        return [secret_of(line, now=self._clock.wall()) for line in self._control.ledger.legible_fences()]

    def _begin(  # noqa: PLR0913, PLR0917 - what step 2 has gathered
        self,
        act: Act,
        lineage: Lineage,
        incarnation: Incarnation,
        erasure: bytes,
        going: list[rows.Key],
        capture: Capture,
        *,
        fences: int,
    ) -> None:
        """Keys `erasing`, the capture sealed, accounts opened, workers told: the end of step 2's transaction."""
        tx, now = act.tx, self._clock.wall()
        for key in going:
            if key.state != KeyState.DESTROYED:  # one that was lost earlier
                subjects.move_key(tx, key.key_id, state=move(KeyState(key.state), KeyState.ERASING), now=now)
        purge_key = lineage.add_purge_key(tx, now=now)
        evidence = {
            "requested": act.time,
            "keys": [_named(key) for key in going],
            "fences": fences,
            "custodian": self._custodian.kind,
        }
        if act.repeats is not None:
            evidence["repeated"] = named(act.repeats)
        row = rows.Erasure(
            erasure=erasure,
            controller=lineage.controller,
            incarnation=incarnation,
            seq=act.seq,
            step=Step.FENCED,
            generation=workers.raise_generation(tx),
            requested=now,
            effective=None,
            purge_due=None,
            purge_boot=None,
            purge_key=purge_key,
            capture=lineage.seal_capture(tx, purge_key, capture.encode(), erasure=erasure),
            rows_first=None,
            rows_second=None,
            evidence=json.dumps(evidence),
        )
        acts.add_erasure(tx, row)
        accounting.begin(tx, erasure, now=now)

    def of_held(
        self, act: Act, lineage: Lineage, incarnation: Incarnation, erasure: bytes, keys: Collection[KeyId]
    ) -> None:
        """What a law kept of an erased customer, under these keys. Raises KeyDestroyed, VerificationFailed."""
        tx, now = act.tx, self._clock.wall()
        lineage.hold(tx)
        key_rows = [row for row in subjects.find_keys(tx, [incarnation]) if row.key_id in keys and _is_held(row)]
        if not key_rows:
            raise KeyDestroyed("what a law kept of this customer was given up as lost meanwhile")
        subject = _opened(lineage, incarnation, key_rows)
        devices = held_devices(tx, subject)
        capture = collect(tx, subject, key_rows, newest=self._newest(now), operations=(), devices=devices)
        self._begin(act, lineage, subject.incarnation, erasure, key_rows, capture, fences=0)
        for key in key_rows:
            accounts.release(tx, key.key_id, erasure=erasure)

    def _newest(self, now: int) -> int:
        """The last event time (ns) that may be sealed yet."""
        return now + self._policy().future_window_s * _SECOND + _SEALED_UNTIL


def _opened(lineage: Lineage, incarnation: Incarnation, key_rows: list[rows.Key]) -> Subject:
    """To the end. Where a key is missing, or another, that is this customer's matter, as where one does not open."""
    try:
        return open_subject(lineage, incarnation, key_rows, to_end=True)
    except IntegrityStop as fault:
        raise VerificationFailed(f"this customer cannot be erased: {fault}", hint=_DAMAGED) from None


def _is_held(row: rows.Key) -> bool:
    return row.state == KeyState.DEACTIVATED


def _laws(intent: Mapping[str, Value]) -> dict[str, tuple[KeyEpoch, str]]:
    """By class, the month with which its date comes, and which law it is."""
    dated, laws = intent["holds"], intent["laws"]
    if not isinstance(dated, list) or not isinstance(laws, list):
        raise VerificationFailed("what laws keep cannot be read in an erasure's intent")
    pairs = ((*text.rpartition("="), law) for text, law in zip(dated, laws, strict=True))
    return {name: (KeyEpoch(int(month)), law) for name, _equals, month, law in pairs}


def _keep(
    tx: Transaction, kept: list[rows.Key], erasure: bytes, laws: Mapping[str, tuple[KeyEpoch, str]], *, now: int
) -> None:
    """Keys that a law keeps: they seal nothing any more, and have a date."""
    for key in kept:
        subjects.move_key(tx, key.key_id, state=move(KeyState(key.state), KeyState.DEACTIVATED), now=now)
    new = [
        rows.Hold(
            key_id=key.key_id,
            erasure=erasure,
            controller=key.controller,
            key_class=key.key_class,
            until=epoch_start(laws[key.key_class][0]),
            law=laws[key.key_class][1],
            released=None,
        )
        for key in kept
    ]
    accounts.add_holds(tx, new)


def _named(key: rows.Key) -> dict[str, object]:
    """A destroyed key as its certificate names it."""
    return {
        "key_id": key.key_id.hex(),
        "class": key.key_class,
        "version": key.version,
        "base": key.base,
        "commitment": None if key.commitment is None else key.commitment.hex(),
        "e": key.e,
    }
