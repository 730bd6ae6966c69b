"""A worker does not outlive its supervisor: the kernel sees to that, asked before anything of the worker is loaded.

    Popen(…, env=os.environ | {SUPERVISOR: str(os.getpid())})     the supervisor
    hold_to_supervisor()                                          what it starts, first of all; else it does nothing

A supervisor that was killed before the kernel could be asked has left its child to another parent: the child ends here,
as it would have a moment later. Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import os
import signal

SUPERVISOR = "X_GLOMSKA_SUPERVISOR"
_PR_SET_PDEATHSIG = 1


def hold_to_supervisor() -> None:
    """SIGTERM for this process when its supervisor ends, or now if it has. Without a supervisor: nothing."""
    supervisor = os.environ.pop(SUPERVISOR, "")
    if not supervisor:
        return
    import ctypes  # noqa: PLC0415 - every command passes here, and only workers need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if str(os.getppid()) != supervisor:
        os.kill(os.getpid(), signal.SIGTERM)
