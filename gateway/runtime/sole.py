"""One `glomska run` a gateway: two on one state directory would take each other's sessions, again and again.

hold = claim(state, "glomska-1")       # until the process ends, however it ends; also through exec
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from gateway.errors import Refused, Unreachable


class Running(Refused):
    """Another process is this gateway."""

    hint = "end that one first, with SIGTERM; a second gateway needs a state directory and a client_id of its own"


def claim(state: Path, client_id: str) -> int:
    """The descriptor that holds it. Raises Running, Unreachable."""
    name = hashlib.sha256(client_id.encode()).hexdigest()[:16]
    try:
        file = os.open(state / f"run-{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        message = f"the state directory cannot be written: {fault.strerror}"
        raise Unreachable(message, hint="see owner, mode and free space of the state directory") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise Running("`glomska run` runs already with this state directory and client_id") from None
    return file
