"""The spool: where sealed points wait, on disk, for a store that cannot take them.

    spool = Spool.open(directory, max_bytes=…)   # one process a spool; a torn tail is cut and counted
    spool.append(points)                         # fsynced when it returns: they may be acknowledged
    chunk = spool.oldest(1000)                   # what comes next, oldest first
    spool.settled(chunk)                         # the store has it: the cursor moves on, files behind it go
    purge(directory, key_ids)                    # points of these keys are overwritten, also under a living worker

`record` is the byte format, `segment` one file, `spool` the queue of files under a lock, `directory` all spools of one
machine. Whoever drains asks first which keys are gone; a spool knows no keys.
"""

from gateway.transport.spool.directory import Spools, Waiting
from gateway.transport.spool.spool import Chunk, Spool, SpoolHeld, SpoolUnable

__all__ = ["Chunk", "Spool", "SpoolHeld", "SpoolUnable", "Spools", "Waiting"]
