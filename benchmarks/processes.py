"""CPU time and memory of a process and its children, from /proc. Source: proc(5)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14  # fields of /proc/PID/stat, counted behind the name


def tree(pid: int) -> list[int]:
    """`pid` and all living descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it ended while we looked
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system seconds of `pid` and its descendants, ended and waited-for children included; 10 ms steps.

    Raises ProcessLookupError when `pid` itself has ended.
    """
    if not Path(f"/proc/{pid}").exists():
        raise ProcessLookupError(pid)
    return sum(map(_ticks, tree(pid))) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of `pid` and its descendants now, in MiB; shared pages count in each."""
    return sum(_status(p, "VmRSS") for p in tree(pid)) / 1024


def peak_rss_mb(pid: int) -> float:
    """Sum of the highest resident memory each of `pid` and its living descendants has had, in MiB."""
    return sum(_status(p, "VmHWM") for p in tree(pid)) / 1024


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(fields[i]) for i in (_UTIME, _STIME, _CUTIME, _CSTIME))


def _status(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key + ":")), 0)
