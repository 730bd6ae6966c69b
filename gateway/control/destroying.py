"""Steps 3 and 4 of an erasure: workers let go, keys are deleted, and the key store's files are looked through for them.

    counted = destroying.delete(erasure)                    # None while a worker is to be waited for
    destroying.prove(destroying.traces(erasure))            # of many at once: the files are read once
    destroying.tell(erasure, counted)                       # effective: outcome and certificate

Each may be repeated, and by several processes at once: what is deleted and not proven is sought by whoever comes next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.control import accounting
from gateway.control.certificate import EFFECTIVE, Certificates, effective_claims, evidence_of
from gateway.control.letting_go import requests_over
from gateway.control.purge import Purging, Step, find, note
from gateway.control.role import ERASE, Control
from gateway.keys import lease
from gateway.keys.capture import trace
from gateway.keys.lifecycle import KeyState, move
from gateway.keystore import acts, rows, subjects, workers

_TOGETHER = 5_000  # traces that are sought at once, or those of one erasure: a table of them lies in memory


class Destroying:
    """Over one key store and its ledger."""

    def __init__(self, control: Control, purging: Purging, certificates: Certificates | None) -> None:
        self._control = control
        self._clock = control.clock
        self._purging = purging
        self._certificates = certificates
        self._asked: dict[bytes, int] = {}  # boot time from which this process waits for workers, by erasure

    def delete(self, erasure: bytes) -> int | None:
        """The number of workers it took, 0 where another process came first, or None while one holds on."""
        found = find(self._control, erasure)
        if found.step != Step.FENCED:
            return 0
        counted = self._released(found)
        if counted is not None:
            self._delete_keys(erasure)
        return counted

    def traces(self, erasure: bytes) -> dict[bytes, list[bytes]]:
        """Of all that was deleted: as it was at step 2, and as a turnover had brought it under a newer e meanwhile.

        By the erasure's id; nothing at all where another process has sought them.
        """
        found = find(self._control, erasure)
        if found.step != Step.DELETED:
            return {}
        capture = self._purging.capture(erasure)
        rewrapped = [bytes.fromhex(one) for one in evidence_of(found).get("rewrapped", ())]
        return {erasure: [*dict.fromkeys((*(capture.trace_bytes() if capture else ()), *rewrapped))]}

    def prove(self, sought: Mapping[bytes, list[bytes]]) -> None:
        """That none of these traces is left; the erasures that they are of are effective then.

        Raises:
            Unreachable: a reader holds the files; call again.
            IntegrityStop: one is left.
        """
        for group in _groups(sought):
            looked_for = self._control.keystore.scrub([one for traces in group.values() for one in traces])
            for erasure, traces in group.items():
                evidence = {"traces": len(traces) if looked_for else 0, "rewrapped": []}
                now = self._clock.wall()
                note(self._control, erasure, was=Step.DELETED, evidence=evidence, step=Step.EFFECTIVE, effective=now)

    def tell(self, erasure: bytes, counted: int) -> None:
        """The outcome and the first certificate of one that is effective. Raises CustodianFault, Unreachable."""
        found = find(self._control, erasure)
        fences = {name: count for name, count in evidence_of(found).items() if name == "fences"}
        self._control.conclude(ERASE, found.seq, state="effective", workers=counted, **fences)
        self.certify(erasure)
        self._asked.pop(erasure, None)

    def certify(self, erasure: bytes) -> None:
        """The first certificate; whoever comes second leaves it as it is. Raises CustodianFault, Unreachable."""
        with self._control.keystore.snapshot() as tx:
            found = acts.find_erasure(tx, erasure)
            if self._certificates is None or found is None or found.evidence is None or found.certified is not None:
                return
            said = effective_claims(tx, found, residue=self._control.keystore.residue)
        digest = self._certificates.issue(erasure, EFFECTIVE, said)
        with self._control.step() as tx:
            acts.update_erasure(tx, erasure, certified=digest)

    def _released(self, found: rows.Erasure) -> int | None:
        """Step 3: the number of workers, once each has acknowledged or its lease is over."""
        asked = self._asked.setdefault(found.erasure, self._clock.boottime())
        with self._control.keystore.snapshot() as tx:
            registered = workers.find_all(tx)
        now, boot = self._clock.boottime(), lease.boot_id()
        behind = [w for w in registered if w.generation < found.generation]
        return len(registered) if all(lease.is_over(w, now=now, boot=boot, asked=asked) for w in behind) else None

    def _delete_keys(self, erasure: bytes) -> None:
        """Step 4, the transaction."""
        with self._control.step() as tx:
            found = acts.find_erasure(tx, erasure)
            if found is None or found.step != Step.FENCED:
                return  # another process came first
            now, held, e, rewrapped = self._clock.wall(), set(), 0, list[str]()
            accounting.release(tx, found.erasure, found.generation, now=now)
            for key in subjects.find_keys(tx, [found.incarnation]):
                if key.state == KeyState.ERASING:
                    e = max(e, key.e)  # a turnover may have brought it under a newer one since step 2
                    rewrapped += [trace(key.wrapped).hex()] if key.wrapped else []
                    subjects.destroy_key(tx, key.key_id)
                    subjects.move_key(tx, key.key_id, state=move(KeyState(key.state), KeyState.DESTROYED), now=now)
                elif key.state == KeyState.DEACTIVATED:
                    held.add(key.key_class)
            subjects.delete_identity(tx, found.incarnation, keep=held)
            acts.add_evidence(tx, erasure, last_e=e, rewrapped=rewrapped)
            due = requests_over(workers.find_all(tx), now=self._clock.boottime())
            acts.update_erasure(tx, erasure, step=Step.DELETED, purge_due=due, purge_boot=lease.boot_id())


def _groups(sought: Mapping[bytes, list[bytes]]) -> Iterator[dict[bytes, list[bytes]]]:
    group, size = dict[bytes, list[bytes]](), 0
    for erasure, traces in sought.items():
        if group and size + len(traces) > _TOGETHER:
            yield group
            group, size = {}, 0
        group[erasure] = traces
        size += len(traces)
    if group:
        yield group
