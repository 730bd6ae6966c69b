"""Step 3 of a turnover: what is under an older e is brought under the newest, a page an act.

A page takes keys first, then routes, then secrets, each once: what was written back is under the newest e and is not
found again, which is all that there is to resuming. When no page is left, what opened the older rows is forgotten in
the same act that finds that nothing is left of them; a process that another one overtook forgets it at its next look.
"""

from __future__ import annotations

import enum
import gc
from collections.abc import Collection

from gateway.control import customer as customers
from gateway.control.purge import give_up_captures
from gateway.control.role import Control
from gateway.errors import IntegrityStop
from gateway.keys.custodian import Custodian
from gateway.keys.fencing import fence_lines
from gateway.keys.rewrap import Rewrapping
from gateway.keystore import accounts, lineages, rows, subjects, turnovers, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, KeyId

RELEASE = "release"
KEYS = 4_000
ROUTES = 10_000
"""Rows an act. Who waits for the key store or the role waits no longer than for an act, which takes some tens of
milliseconds for keys and some hundreds for routes: their hashes are random, and the more of them are changed together,
the fewer times each page of their index is written."""


class Step(enum.StrEnum):
    """How far a pass has come."""

    BEGUN = "begun"
    RELEASED = "released"
    CAPTURED = "captured"
    PURGED_ONCE = "purged_once"
    REWRAPPING = "rewrapping"
    REWRAPPED = "rewrapped"
    ALONE = "alone"
    BACKED_UP = "backed_up"
    DONE = "done"


class Pages:
    """Step 3 over one key store and its fence file."""

    def __init__(self, control: Control, custodian: Custodian) -> None:
        self._control = control
        self._clock = control.clock
        self._custodian = custodian
        self._made: dict[tuple[Controller, int], Rewrapping] = {}

    def turn(self, found: rows.Turnover) -> bool:
        """Some rows of whatever is left under an older e; when nothing is, the end of step 3."""
        with self._control.step() as tx:
            if not self._page(tx, found) and self._is_at(tx, found):
                self._leave(tx, found)
        gc.collect(0)  # a page's statements end in cycles, of a third of a megabyte; see `runtime.memory`
        return True

    def look_again(self, controller: Controller) -> None:
        """What stands in quarantine is taken by the next pages as any other row: it may have been brought back."""
        with self._control.step() as tx:
            turnovers.release(tx, controller)

    def _page(self, tx: Transaction, found: rows.Turnover) -> bool:
        """Whether there was anything to take."""
        if not self._is_at(tx, found):
            self._made.clear()
            return False  # another process has come further
        lineages.pin_e(tx, found.controller)
        return self._keys(tx, found) or self._routes(tx, found) or self._secrets(tx, found)

    @staticmethod
    def _is_at(tx: Transaction, found: rows.Turnover) -> bool:
        now = turnovers.unfinished(tx, found.controller)
        return now is not None and (now.e, now.step) == (found.e, Step.REWRAPPING)

    def forget_but(self, under_way: Collection[tuple[Controller, int]]) -> None:
        """Nothing that opens older rows is kept but for these controllers and e, which are in step 3."""
        if not self._made.keys() <= set(under_way):
            self._made.clear()

    def _keys(self, tx: Transaction, found: rows.Turnover) -> bool:
        page = turnovers.page_of_keys(tx, found.controller, e=found.e, limit=KEYS)
        done = self._rewrapping(tx, found).keys(page)
        turnovers.rewrap_keys(tx, done.rewrapped)
        turnovers.ratchet_keys(tx, done.ratcheted)
        turnovers.set_aside(tx, found.controller, done.lost, kind="csk", now=self._clock.wall())
        moved = len(done.ratcheted)
        turnovers.count(tx, found, rewrapped=len(done.rewrapped) + moved, ratcheted=moved)
        return bool(page)

    def _routes(self, tx: Transaction, found: rows.Turnover) -> bool:
        page = turnovers.page_of_routes(tx, found.controller, e=found.e, limit=ROUTES)
        whose = list(dict.fromkeys(incarnation for _route, _kind, incarnation, _place in page))
        identities, records = turnovers.identities(tx, whose) if page else ({}, ())
        done = self._rewrapping(tx, found).routes(page, identities, records)
        turnovers.rehash_routes(tx, done.rewrapped)
        turnovers.set_aside(tx, found.controller, done.lost, kind="route", now=self._clock.wall())
        return bool(page)

    def _secrets(self, tx: Transaction, found: rows.Turnover) -> bool:
        page = turnovers.page_of_secrets(tx, found.controller, e=found.e, limit=KEYS)
        done = self._rewrapping(tx, found).secrets(page)
        turnovers.rewrap_secrets(tx, done.rewrapped)
        turnovers.set_aside(tx, found.controller, done.lost, kind="secret", now=self._clock.wall())
        return bool(page)

    def _leave(self, tx: Transaction, found: rows.Turnover) -> None:
        """Nothing is left under an older e: forget what opened it. Raises IntegrityStop for what is in quarantine."""
        self.require_nothing_behind(tx, found)
        lineages.leave_keks(tx, found.controller, before=found.e)
        turnovers.update(tx, found, step=Step.REWRAPPED, generation=workers.raise_generation(tx))
        self._made.clear()

    def require_nothing_behind(self, tx: Transaction, found: rows.Turnover) -> None:
        """Raises IntegrityStop when rows are still under an older e."""
        behind = {name: n for name, n in turnovers.left_behind(tx, found.controller, e=found.e).items() if n}
        if not behind:
            return
        what = ", ".join(f"{n} {name}" for name, n in behind.items())
        raise IntegrityStop(
            f"the turnover to e = {found.e} stopped: {what} do not open under the key they were wrapped with",
            hint="bring them back from a backup made since the last turnover, or, to give them up for ever, "
            "`glomska keys turnover --release-lost`; the older wrapping key is kept until then",
        )

    def rewrite_fences(self, tx: Transaction, found: rows.Turnover) -> None:
        """The fence file anew, under the newest e alone, as the key store has it: whatever had become of the file.

        Not before a backup is: until then a copy of the key store of before is what would be recovered, and opens what
        is under the older e.
        """
        ledger = self._control.ledger
        lines = ledger.legible_fences()
        kept = [line for line in lines if line["controller"] != found.controller]
        under = {str(line["fence"]): str(line["secret_id"]) for line in lines}
        lineage = customers.open_lineage(tx, self._custodian, found.controller)
        ledger.rewrite_fences(kept + fence_lines(tx, lineage, turnovers.find_fences(tx, found.controller), under))

    def release_lost(self, controller: Controller) -> int:
        """Give up, for ever, what does not open; how many rows. An operator's word, in the ledger.

        Whatever stands in quarantine is tried once more first: what has been brought back is not given up.
        With the identity key goes the customer, whom nobody can find any more: no rows are deleted for them, nothing
        fences them, and no certificate is made. The outcome names the incarnations of such. A held key is held no more,
        and an erasure whose purge key is lost goes on without what that opened.
        """
        self._try_again(controller)
        with self._control.act(RELEASE, controller=controller) as act:
            lost = turnovers.quarantined(act.tx, controller)
            now = self._clock.wall()
            keys = [KeyId(item) for item, kind in lost.items() if kind == "csk"]
            gone = subjects.lose_keys(act.tx, keys, now=now)
            accounts.drop_holds(act.tx, keys)
            turnovers.drop(act.tx, lost)
            turnovers.release(act.tx, controller)
            captures = give_up_captures(act.tx, self._custodian, controller, now=now)
            act.outcome |= {"rows": len(lost), "incarnations": [one.hex() for one in gone], "captures": captures}
            act.outcome["keys"] = [key.hex() for key in keys]
            if lost:
                workers.raise_generation(act.tx)
        return len(lost)

    def _try_again(self, controller: Controller) -> None:
        """Every page that is left, so that only what does not open now stands in quarantine."""
        with self._control.keystore.snapshot() as tx:
            found = turnovers.unfinished(tx, controller)
        self.look_again(controller)
        more = found is not None
        while found is not None and more:
            with self._control.step() as tx:
                more = self._page(tx, found)

    def _rewrapping(self, tx: Transaction, found: rows.Turnover) -> Rewrapping:
        """Its KEKs and horizons do not change during the pass, so it is made once a process."""
        place = (found.controller, found.e)
        if place not in self._made:
            lineage = customers.open_lineage(tx, self._custodian, found.controller)
            self._made = {place: lineage.rewrapping()}
        return self._made[place]
