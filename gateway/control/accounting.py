"""Who may still hold something of an erased customer, and how each was accounted for.

Opened with the erasure: an account for every registered worker, one for the queues (spools, dead letters) of each
machine on which something may wait, whether a worker runs there now or not, and one for the broker, which may retain a
message. A controller's exit opens the same, but for the broker: what that retains belongs to nobody then. A worker is

    waiting         until it has let go
    acknowledged    handle dropped; what was in flight for it is refused
    left            it drained and ended in order
    lease over      it can begin no use of a key, but what it had under way may still land when it goes on
    ended           its process is gone, seen from its own machine
    lost            an operator says that it will never go on

and queues or broker are `waiting` until `purged`, or `lost`. An erasure is effective when no worker is waiting. Rows
are deleted for the second time, and it can become final, when everybody is accounted for: none of these two is left.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.control.role import Control
from gateway.errors import UsageFault
from gateway.keys import process
from gateway.keystore import accounts, acts, departures, rows, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller

BROKER = "broker"
OWING = frozenset({"waiting", "lease over"})
DECLARE = "declare-lost"


def queues_of(machine: str) -> str:
    """The party that the queues of a machine are."""
    return f"queues {machine}"


def ours() -> str:
    """The party that the queues of this machine are."""
    return queues_of(process.machine())


def begin(tx: Transaction, erasure: bytes, *, now: int, broker: bool = True) -> None:
    """The accounts of an erasure, in the transaction that fences it. Ours are the queues that we are about to purge.

    For an exit `erasure` is `departures.account_of`, here as in everything below.
    """
    registered = workers.find_all(tx)
    machines = {process.machine(), *(process.machine_of(worker.process) for worker in registered if worker.process)}
    machines |= workers.with_queues(tx)
    new = [_account(erasure, w.worker.hex(), "worker", now, process=w.process, boot=w.boot) for w in registered]
    new += [_account(erasure, queues_of(machine), "queues", now) for machine in sorted(machines)]
    accounts.open_accounts(tx, [*new, *([_account(erasure, BROKER, BROKER, now)] if broker else [])])


def release(tx: Transaction, erasure: bytes, generation: int, *, now: int) -> None:
    """How each worker let go, once none can begin the use of a key of before `generation` any more."""
    registered = {worker.worker.hex(): worker for worker in workers.find_all(tx)}
    for account in accounts.of_erasure(tx, erasure):
        if account.kind == "worker" and account.how == "waiting":
            how = _how(account, registered.get(account.party), generation)
            accounts.settle(tx, erasure, account.party, how=how, now=now)


def look_again(control: Control, erasure: bytes, generation: int) -> tuple[list[rows.Account], bool]:
    """Who is still owing, after a look at those whose lease was over; and whether one of them came back or ended."""
    with control.keystore.snapshot() as tx:
        registered = {worker.worker.hex(): worker for worker in workers.find_all(tx)}
        late = owing(tx, erasure)
    ways = {a.party: _how(a, registered.get(a.party), generation) for a in late if a.kind == "worker"}
    settled = {party: how for party, how in ways.items() if how not in OWING}
    if settled:
        with control.step() as tx:
            for party, how in settled.items():
                accounts.settle(tx, erasure, party, how=how, now=control.clock.wall())
    return [account for account in late if account.party not in settled], bool(settled)


def owing(tx: Transaction, erasure: bytes) -> list[rows.Account]:
    """Who is not accounted for."""
    return [account for account in accounts.of_erasure(tx, erasure) if account.how in OWING]


def declare_lost(control: Control, erasure: bytes, party: str) -> None:
    """An operator's word that a worker, a machine's queues or the broker will never come back with what they hold.

    Raises:
        UsageFault: this erasure asks for nobody of that name, or is not effective yet: a lease ends by itself.
    """
    with control.keystore.snapshot() as tx:
        found = acts.find_erasure(tx, erasure)
        known = {account.party for account in owing(tx, erasure)}
    if found is None or party not in known:
        raise UsageFault(
            "nobody of that name is owing in that erasure", hint="`glomska erasures show` names who is waited for"
        )
    if found.effective is None:
        raise UsageFault("this erasure is not effective yet: wait until the lease is over", hint="then repeat")
    with control.act(DECLARE, erasure=erasure.hex(), party=party) as act:
        _lose(act.tx, erasure, party, now=control.clock.wall())


def declare_lost_of_exit(control: Control, controller: Controller, party: str) -> None:
    """The same word in a controller's exit. Raises UsageFault: nobody of that name is owing, or keys still are."""
    with control.keystore.snapshot() as tx:
        found = departures.find(tx, controller)
        account = b"" if found is None else departures.account_of(found.seq)
        known = {one.party for one in owing(tx, account)}
    if found is None or party not in known:
        hint = "`glomska controller exit NAME`, repeated, names who is waited for"
        raise UsageFault("nobody of that name is owing in that exit", hint=hint)
    if found.effective is None:
        raise UsageFault("its keys are not destroyed yet: wait until the lease is over", hint="then repeat")
    with control.act(DECLARE, controller=controller, party=party) as act:
        _lose(act.tx, account, party, now=control.clock.wall())


def _lose(tx: Transaction, erasure: bytes, party: str, *, now: int) -> None:
    """Queues that never come back are asked for by no later erasure either, unless a worker registers there again."""
    accounts.settle(tx, erasure, party, how="lost", now=now)
    for machine in workers.with_queues(tx):
        if queues_of(machine) == party:
            workers.drop_queues(tx, machine)


def claims(tx: Transaction, erasure: bytes) -> list[dict[str, str]]:
    """The accounts as a certificate shows them."""
    return [{"party": a.party, "accounted": a.how} for a in accounts.of_erasure(tx, erasure)]


def said(parties: Iterable[rows.Account]) -> str:
    """Who is owing, in words."""
    return ", ".join(a.party if a.kind != "worker" else f"worker {a.party}" for a in parties)


def _how(account: rows.Account, worker: rows.Worker | None, generation: int) -> str:
    if worker is not None and worker.generation >= generation:
        return "acknowledged"
    return "ended" if process.is_gone(account.process, account.boot) else "lease over"


def _account(  # noqa: PLR0913, PLR0917 - the columns
    erasure: bytes, party: str, kind: str, now: int, process: str = "", boot: str = ""
) -> rows.Account:
    return rows.Account(erasure=erasure, party=party, kind=kind, process=process, boot=boot, how="waiting", at=now)
