"""The end of a turnover: when all is safe under the newest e, what opened every older copy is destroyed.

4. alone       every standby that is named has replayed the last rewrap; a backup is taken and opened again, which
               serves every pass that had come so far before it was begun
5. backed_up   nothing is under an older e; the fence file is rewritten under the newest, whose W is at hand:
then W_e-1 and all older ones go, the custodian's reports are recorded
6. done        the outcome in the ledger

shredding.back_up(found), shredding.destroy(found)      # False: there is something to wait for first
shredding.conclude(found)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.control.pages import Pages, Step
from gateway.control.role import TURNOVER, Control
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import note_destroyed
from gateway.keys.recovery import require_at_hand
from gateway.keystore import lineages, rows, turnovers
from gateway.model.ids import Controller


class Shredding:
    """Steps 5 and 6 over one key store, its ledger and custodian."""

    def __init__(
        self,
        control: Control,
        custodian: Custodian,
        pages: Pages,
        *,
        backup: Callable[[Controller], object],
        standbys: Sequence[str],
    ) -> None:
        self._control = control
        self._keystore = control.keystore
        self._custodian = custodian
        self._pages = pages
        self._backup = backup
        self._standbys = standbys
        self._served: dict[rows.Turnover, tuple[list[rows.Turnover], str]] = {}

    def back_up(self, found: rows.Turnover) -> bool:
        """False while a standby is behind. Raises what a backup raises."""
        served, written = self._serving(found)
        if self._standbys and self._keystore.behind(self._standbys, written):
            return False
        self._backup(found.controller)
        del self._served[found]
        with self._control.step() as tx:
            for each in served:
                if turnovers.find(tx, each.controller, each.e).step == Step.ALONE:
                    turnovers.update(tx, each, step=Step.BACKED_UP)
        return True

    def destroy(self, found: rows.Turnover) -> bool:
        """Once more nothing is under an older e; then W goes. Raises CustodianFault, IntegrityStop, Unreachable."""
        with self._control.keystore.snapshot() as tx:
            wrapped = lineages.find_keks(tx, found.controller)[found.e]
        require_at_hand(self._custodian, found.controller, found.e, wrapped)
        with self._control.step() as tx:
            self._pages.require_nothing_behind(tx, found)
            oldest = lineages.oldest_e(tx, found.controller)
            self._pages.rewrite_fences(tx, found)
        reports = {e: self._custodian.destroy(found.controller, e) for e in range(oldest, found.e)}
        now = self._control.clock.wall()
        with self._control.step() as tx:
            note_destroyed(tx, found.controller, reports, now=now)
            turnovers.update(tx, found, step=Step.DONE, finished=now)
        return True

    def conclude(self, found: rows.Turnover) -> None:
        """The outcome in the ledger; nothing happens when it is there."""
        with self._keystore.snapshot() as tx:
            report = lineages.find_wrappings(tx, found.controller).get(found.e - 1)
        self._control.conclude(
            TURNOVER,
            found.seq,
            e=found.e,
            rewrapped=found.rewrapped,
            ratcheted=found.ratcheted,
            expired=found.expired,
            custodian=report.custodian if report else None,
            residue=report.residue if report else None,
        )

    def _serving(self, found: rows.Turnover) -> tuple[list[rows.Turnover], str]:
        """Whose rows are all rewrapped, and a place in the database's log behind that; the same at each look.

        Others go on writing, and a standby is asked for what these need.
        """
        if found not in self._served:
            with self._keystore.snapshot() as tx:
                served = turnovers.at_step(tx, Step.ALONE)
            self._served = {each: known for each, known in self._served.items() if each in served}
            self._served[found] = served, self._keystore.written() if self._standbys else ""
        return self._served[found]
