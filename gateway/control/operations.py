"""Operations keys and the age of dead letters: made before they are needed, destroyed when they have had their days.

    keys = Operations(control, custodian, letters, keep_days=30, operations_days=7)
    keys.tend()         # at the start of `run`, and then once a second: nearly always there is nothing to do

Every controller has a key for today and one for tomorrow, so that midnight finds it made even while the ledger cannot
be written. A day's key is destroyed when `operations_days` days have begun after its own: no letter under it is older
than that then. Making is a step; destroying is an act, in the ledger. Letters of customers are dropped by age.

A wrong clock destroys nothing: keys are made and none is destroyed while wall time has moved otherwise than the time
since boot since this process began, nor in a process at whose beginning the ledger did not agree with the clock, nor
within 28 days of a leap in the ledger's times (see `guard`). What came while a clock was set back looks old when it is
right again: a process that has seen that destroys nothing any more.
"""

from __future__ import annotations

from typing import Protocol

from gateway.control.guard import doubts
from gateway.control.role import Control
from gateway.errors import Unreachable
from gateway.keys.capture import trace
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import Lineage
from gateway.keystore import lineages, rows
from gateway.keystore.database import Transaction
from gateway.model.dead import DAY, LetterKind, day_of
from gateway.model.ids import Controller

ACT = "expire-dead-letters"
OPERATIONS = "operations"
_STRAYED = 600 * 1_000_000_000  # ns that wall time may be set by while a process runs before nothing is destroyed


class Ages(Protocol):
    """Dead letters, as far as they grow old."""

    def expire(self, kind: LetterKind, *, before: int) -> int:
        """Drop those of this kind that arrived before (ns); how many. Raises Unreachable."""


class Operations:
    """The operations keys of one key store, and the age of dead letters."""

    def __init__(
        self,
        control: Control,
        custodian: Custodian,
        letters: Ages,
        *,
        keep_days: int,
        operations_days: int,
    ) -> None:
        self._control = control
        self._clock = control.clock
        self._custodian = custodian
        self._letters = letters
        self._keep_days = keep_days
        self._operations_days = operations_days
        self._strayed = self._clock.wall() - self._clock.boottime()
        self._doubt: str | None = None  # what speaks against the clock, judged once
        self._expired = -1  # the day on which letters were last dropped by age
        self.dropped = 0

    def tend(self) -> None:
        """Make what will be needed, destroy what is over.

        Raises:
            CustodianFault, Refused, IntegrityStop, Unreachable: what was not done is done by the next call.
        """
        now = self._clock.wall()
        today = day_of(now)
        with self._control.keystore.snapshot() as tx:
            known = lineages.all_controllers(tx)
            found = lineages.secrets_of(tx, OPERATIONS)
        days = {(row.controller, row.version) for row in found}
        missing = [(name, day) for name in known for day in (today, today + 1) if (name, day) not in days]
        if missing:
            self._make(missing, now)
        self._trust_clock(now)
        over = [row for row in found if row.version <= today - self._operations_days]
        if over:
            self._destroy(over)
        if over or self._expired != today:
            self.dropped += self._letters.expire(
                LetterKind.UNATTRIBUTED, before=(today - self._operations_days + 1) * DAY
            )
            for kind in (LetterKind.MESSAGE, LetterKind.POINT):
                self.dropped += self._letters.expire(kind, before=now - self._keep_days * DAY)
            self._expired = today

    def _trust_clock(self, now: int) -> None:
        """Raises Unreachable while it is not to be trusted."""
        ledger = self._control.ledger
        if self._doubt is None:
            self._doubt = doubts(now, ledger_time=ledger.time)
        strayed = now - self._clock.boottime() - self._strayed
        if strayed < -_STRAYED:
            self._doubt = self._doubt or "the clock was set back while this process ran"
        set_ahead = "the clock was set ahead while this process ran" if strayed > _STRAYED else ""
        why = self._doubt or set_ahead or doubts(now, ledger_time=now, leapt=ledger.leapt)
        if why:
            message = f"{why}, so neither dead letters nor their keys are dropped by age"
            raise Unreachable(message, hint="when the clock is right, start the gateway again")

    def _make(self, missing: list[tuple[Controller, int]], now: int) -> None:
        with self._control.step() as tx:
            made = {(row.controller, row.version) for row in lineages.secrets_of(tx, OPERATIONS)}
            opened: dict[Controller, Lineage | None] = {}
            for name, day in missing:
                if (name, day) in made:  # another process came first
                    continue
                if name not in opened:
                    opened[name] = Lineage.load(tx, self._custodian, name)
                lineage = opened[name]
                if lineage is not None:
                    lineage.hold(tx)
                    lineage.add_operations_key(tx, day, now=now)

    def _destroy(self, over: list[rows.Secret]) -> None:
        with self._control.act(ACT, keys=[row.key_id.hex() for row in over]) as act:
            for row in over:
                lineages.delete_secret(act.tx, row.key_id)
            act.outcome["destroyed"] = len(over)
        self._control.keystore.scrub([trace(row.wrapped) for row in over])


def living_days(tx: Transaction) -> set[int]:
    """Days, counted from 1970, of which an operations key lives."""
    return {row.version for row in lineages.secrets_of(tx, OPERATIONS)}
