"""How a gateway's process keeps its memory: settings of the process, so of whoever embeds a worker, too."""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8  # mallopt(3)


def calm_collector() -> None:
    """Keep the cycle collector off the path of a reading, of which it took a sixth.

    Messages and points die by reference count; it would look at all of them, and at every device, again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)


def one_arena() -> None:
    """All threads allocate from one heap: with one each, glibc kept 4 MB more. Other C libraries have no such call."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
