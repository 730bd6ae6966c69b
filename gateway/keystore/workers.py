"""Workers, their leases, and the generation that makes them drop what they cached.

Renewal is refused to a worker that has not acknowledged the current generation. The eraser therefore knows, from the
moment its transaction commits, that nobody who has not acknowledged can renew; what remains of a lease is waited for.
"""

from __future__ import annotations

import sqlalchemy as sa

from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import accounts, queues, state, workers


def generation(tx: Transaction) -> int:
    """The current generation."""
    return int(tx.scalars(sa.select(state.c.generation)).one())


def raise_generation(tx: Transaction) -> int:
    """Every worker must drop what it cached of keys that this transaction changes; the new generation."""
    tx.execute(state.update().values(generation=state.c.generation + 1))
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_notify("glomska", "")))  # told when this commits; see `KeyStore.wait`
    return generation(tx)


def register(tx: Transaction, worker: rows.Worker) -> None:
    """A worker begins: it holds no keys yet, so it starts at the current generation."""
    tx.execute(workers.insert(), rows.values([worker]))


def renew(tx: Transaction, worker: bytes, *, renewed: int) -> bool:
    """A lease from `renewed` (boot time before this was asked); False when refused."""
    current = sa.select(state.c.generation).scalar_subquery()
    owner = workers.update().where(workers.c.worker == worker, workers.c.generation == current)
    return bool(tx.execute(owner.values(renewed=renewed)).rowcount)


def acknowledge(tx: Transaction, worker: bytes, *, generation: int) -> bool:
    """The worker has dropped every key it cached before `generation`; False when it was forgotten."""
    return bool(tx.execute(workers.update().where(workers.c.worker == worker).values(generation=generation)).rowcount)


def forget(tx: Transaction, *, before: int) -> None:
    """Remove workers that never acknowledged a generation, once nothing of theirs can be under way any more."""
    tx.execute(workers.delete().where(workers.c.generation < before))


def lose(tx: Transaction, worker: bytes, *, before: int) -> bool:
    """An operator says that it will never go on; False where it has acknowledged since, or is not known."""
    gone = (workers.c.worker == worker, workers.c.generation < before)
    return bool(tx.execute(workers.delete().where(*gone)).rowcount)


def leave(tx: Transaction, worker: bytes) -> None:
    """The worker has drained and holds no key; every erasure that still asks for it is told."""
    tx.execute(workers.delete().where(workers.c.worker == worker))
    owing = (accounts.c.party == worker.hex(), accounts.c.how.in_(["waiting", "lease over"]))
    tx.execute(accounts.update().where(*owing).values(how="left"))


def keep_queues(tx: Transaction, machine: str) -> None:
    """Something may wait on a machine: every erasure from now on asks for it, whether a worker runs there or not."""
    statement = sa.text("INSERT INTO queues (machine) VALUES (:machine) ON CONFLICT DO NOTHING")
    tx.execute(statement, {"machine": machine})


def drop_queues(tx: Transaction, machine: str) -> None:
    """Nothing waits there any more, or will ever come back."""
    tx.execute(queues.delete().where(queues.c.machine == machine))


def with_queues(tx: Transaction) -> set[str]:
    """Machines on which something may wait."""
    return set(tx.scalars(sa.select(queues.c.machine)))


def find_all(tx: Transaction) -> list[rows.Worker]:
    """Every registered worker, the dead ones too."""
    return rows.many(rows.Worker, tx.execute(workers.select()))
