"""CPU time and memory of a process and its children, from /proc and CPU clocks. Source: proc(5), clock_gettime(2)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LOCAL, _STATE, _INODE, _LISTEN = 1, 3, 9, "0A"  # columns of /proc/PID/net/tcp
_CUTIME, _CSTIME = 13, 14  # fields of /proc/PID/stat, counted behind the name


def tree(pid: int) -> list[int]:
    """`pid` and all living descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):  # it ended while we looked
            for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - a Path would list it lazily, as glob does
                with contextlib.suppress(OSError):
                    found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system seconds of `pid` and its descendants. Raises ProcessLookupError when `pid` itself has ended.

    Children that have ended and been waited for count in steps of 10 ms, everything else in ns.
    """
    if not Path(f"/proc/{pid}").exists():
        raise ProcessLookupError(pid)
    return sum(_own_seconds(p) + _ended_children(p) for p in tree(pid))


def rss_mb(pid: int) -> float:
    """Resident memory of `pid` and its descendants now, in MiB; shared pages count in each."""
    return sum(_status(p, "VmRSS") for p in tree(pid)) / 1024


def peak_rss_mb(pid: int) -> float:
    """Sum of the highest resident memory each of `pid` and its living descendants has had, in MiB."""
    return sum(_status(p, "VmHWM") for p in tree(pid)) / 1024


def listens(pid: int, port: int) -> bool:
    """Whether it is `pid` that listens on a TCP port, and not one that was there before."""
    inodes: set[str] = set()
    with contextlib.suppress(OSError):
        for family in ("tcp", "tcp6"):
            rows = [line.split() for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]]
            inodes |= {row[_INODE] for row in rows if row[_STATE] == _LISTEN and row[_LOCAL].endswith(f":{port:04X}")}
        held = {str(held.readlink()) for held in Path(f"/proc/{pid}/fd").iterdir()}
        return not held.isdisjoint(f"socket:[{inode}]" for inode in inodes)
    return False


def _own_seconds(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | 2)  # the CPU clock of a process, as clock_getcpuclockid(3) makes it
    except OSError:  # it ended while we looked
        return 0.0


def _ended_children(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_CUTIME]) + int(fields[_CSTIME])) / _TICKS


def _status(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key + ":")), 0)
