"""The queues of a machine without a ledger: emptied there of what was erased, and accounted for.

Whoever erases empties the queues of the ledger's machine. What waits in another machine's spools and dead letters can
be deleted from there alone, so whoever leads there looks for erasures and exits that wait for it. It takes no control
role: it says that it has nothing any more, as a worker does that leaves.

    emptying.run()      # once a second; nearly always there is nothing to do
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.clock import Clock
from gateway.control import accounting
from gateway.control.purge import Queue, capture_of
from gateway.keys import process
from gateway.keys.custodian import Custodian
from gateway.keystore import accounts, departures
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.ids import KeyId


class Emptying:
    """Over one machine's queues, and a key store that it shares."""

    def __init__(self, keystore: KeyStore, custodian: Custodian, clock: Clock, queues: Mapping[str, Queue]) -> None:
        self._keystore = keystore
        self._custodian = custodian
        self._clock = clock
        self._queues = queues

    def run(self) -> None:
        """What waits for this machine now. Raises CustodianFault, Unreachable: the rest is done by the next call."""
        party = accounting.ours()
        with self._keystore.snapshot() as tx:
            ready = [account for account in accounts.owed_by(tx, party) if self._is_ready(tx, account)]
        for account in ready:
            wanted = self._wanted(account)
            if wanted is None:
                continue
            for queue in self._queues.values():
                queue.purge(*wanted)
            with self._keystore.act() as tx:
                accounts.settle(tx, account, party, how="purged", now=self._clock.wall())

    @staticmethod
    def _is_ready(tx: Transaction, account: bytes) -> bool:
        """Whether every worker of this machine has let go, so that nothing comes after."""
        here = process.machine()
        return all(process.machine_of(one.process) != here for one in accounting.owing(tx, account))

    def _wanted(self, account: bytes) -> tuple[list[KeyId], list[bytes]] | None:
        """Keys under which something may wait, and the devices by their hash `dead`; None: nobody asks any more."""
        with self._keystore.snapshot() as tx:
            left = departures.of_account(tx, account)
            if left is not None:
                return departures.key_ids(tx, left.controller), []
        capture = capture_of(self._keystore, self._custodian, account)
        if capture is None:
            return None
        return [KeyId(bytes.fromhex(one)) for one in capture.key_ids], [bytes.fromhex(one) for one in capture.dead]
