"""Step 6 of an erasure: when nothing is left anywhere that could open what was erased, and the certificate of it.

Final needs

- every W that ever wrapped a key of the customer, or the erasure's purge key, reported destroyed by its custodian,
- rows deleted twice,
- every worker, every machine's queues and the broker accounted for.

A turnover destroys old W's, and the exit of a controller all of its: not when it begins, but at its step 4. A turnover
asks here what has become final; so does an operator who declares somebody lost.

    finality.finalise(controller)       # erasures that are final now
"""

from __future__ import annotations

from gateway.control import accounting
from gateway.control.certificate import FINAL, Certificates, evidence_of, final_claims
from gateway.control.purge import Step
from gateway.control.role import Control
from gateway.keystore import acts, lineages, rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, KeyEpoch, epoch_of, epoch_start
from gateway.policy.rules import Policy

FINALISE = "final"


class Finality:
    """Step 6 over one key store and its ledger."""

    def __init__(self, control: Control, certificates: Certificates) -> None:
        self._control = control
        self._certificates = certificates

    def finalise(self, controller: Controller) -> list[bytes]:
        """Erasures of a controller that are final now: in the ledger, and certified.

        Raises:
            CustodianFault, Refused, IntegrityStop, Unreachable: the rest is done at the next call.
        """
        with self._control.keystore.snapshot() as tx:
            waiting = acts.not_final(tx, controller, purged=Step.PURGED)
        return [found.erasure for found in waiting if self._finalise(found)]

    def missing(self, tx: Transaction, found: rows.Erasure) -> list[str]:
        """What an erasure still waits for before it is final, in words; empty when nothing."""
        if found.evidence is None:  # brought back by a recovery, for its fences
            return ["nothing more: its keys went with a key store that was lost, and so did what would be certified"]
        missing = []
        if found.step != Step.PURGED:
            missing.append("rows deleted again")
        owing = accounting.owing(tx, found.erasure)
        if owing:
            missing.append(f"accounted for: {accounting.said(owing)}")
        if found.final is None and not self._unwrapped(tx, found):
            ends = "its controller's exit" if lineages.has_left(tx, found.controller) else "the next turnover"
            missing.append(f"{ends}, which destroys the wrapping key")
        return missing

    def certify(self, erasure: bytes) -> None:
        """Write the second certificate, unless it is there. Raises CustodianFault, Unreachable."""
        with self._control.keystore.snapshot() as tx:
            found = acts.find_erasure(tx, erasure)
            if found is None or found.final is None or found.certified_final is not None:
                return
            reports = [report for e, report in _reports(tx, found).items() if e <= _newest_e(found)]
            said = final_claims(tx, found, reports)
        digest = self._certificates.issue(erasure, FINAL, said)
        with self._control.step() as tx:
            acts.update_erasure(tx, erasure, certified_final=digest)

    def _finalise(self, found: rows.Erasure) -> bool:
        if found.final is not None:  # whoever was to certify it ended first
            self.certify(found.erasure)
            return True
        with self._control.keystore.snapshot() as tx:
            if self.missing(tx, found):
                return False
        with self._control.act(FINALISE, erasure=found.erasure.hex(), first=found.certified) as act:
            now = acts.find_erasure(act.tx, found.erasure)
            if now is not None and now.final is None and not self.missing(act.tx, now):
                acts.update_erasure(act.tx, found.erasure, final=self._control.clock.wall())
        self.certify(found.erasure)
        return True

    @staticmethod
    def _unwrapped(tx: Transaction, found: rows.Erasure) -> bool:
        """Whether no W exists any more that ever wrapped a key of this erasure, or its purge key."""
        return lineages.oldest_e(tx, found.controller) > _newest_e(found)


def date_fences(control: Control, policy: Policy) -> int:
    """Give every fence of an effective erasure the date on which a turnover may let it go; how many have one.

    A horizon after what may still arrive: after the erasure was effective for a customer, after its end for a device's
    interval that has one, and for an open one after the last message that it refused. Raises Unreachable.
    """
    months = max((kept.retention_months for kept in policy.key_classes.values() if kept.ratchets), default=0)
    with control.step() as tx:
        effective = {found.erasure: found.effective for found in acts.all_erasures(tx)}
        fences = [fence for fence in subjects.all_fences(tx) if effective.get(fence.erasure)]
        for fence in fences:
            last = max(effective[fence.erasure] or 0, fence.refused or 0) if fence.ends is None else fence.ends
            expires = epoch_start(KeyEpoch(epoch_of(last) + months + 1))
            if fence.expires != expires:
                subjects.date_fence(tx, fence.fence_id, expires=expires)
    return len(fences)


def _newest_e(found: rows.Erasure) -> int:
    """The newest e that covered one of its keys: older ones covered them before."""
    evidence = evidence_of(found)
    known = (int(evidence.get(name, 0)) for name in ("last_e", "purge_e"))
    return max(*known, *(int(key["e"]) for key in evidence["keys"]))


def _reports(tx: Transaction, found: rows.Erasure) -> dict[int, rows.Wrapping]:
    return lineages.find_wrappings(tx, found.controller)
