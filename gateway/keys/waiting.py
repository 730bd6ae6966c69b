"""What was sealed and waits, in a batch, a spool or among the dead letters: whether it may still be kept and sent.

    gone(keystore, key_ids)         # whose customers were erased: nothing under them
    kept_since(keystore, key_ids)   # under the others, nothing older

Under a lease, and once more for each generation: `Ring` asks so for a worker, `runtime.draining` for who has no ring.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.keys.lifecycle import KeyState
from gateway.keystore import subjects
from gateway.keystore.database import KeyStore
from gateway.model.ids import KeyId, epoch_start

_GONE = frozenset({KeyState.ERASING, KeyState.DESTROYED})


def gone(keystore: KeyStore, key_ids: Collection[KeyId]) -> set[KeyId]:
    """Those of these keys whose customers were erased, or that nobody knows: nothing under them may be kept or sent.

    A key that is suspended or held is not gone: what was sealed under it before was taken, and is not lost for that.
    Raises Unreachable.
    """
    if not key_ids:
        return set()
    with keystore.snapshot() as tx:
        states = subjects.key_states(tx, key_ids)
    return {key_id for key_id in key_ids if states.get(key_id, KeyState.DESTROYED) in _GONE}


def kept_since(keystore: KeyStore, key_ids: Collection[KeyId]) -> dict[KeyId, int]:
    """For each of these keys, the oldest event time (ns) that its class keeps: what lies before may not be sent.

    Its rows were deleted by names that nobody can compute any more, so one that came later would stay for ever. A held
    key keeps its months, and is not among them. Raises Unreachable.
    """
    if not key_ids:
        return {}
    with keystore.snapshot() as tx:
        oldest = subjects.ends_of_retention(tx, key_ids, but=KeyState.DEACTIVATED)
    return {key_id: epoch_start(epoch) for key_id, epoch in oldest.items()}
