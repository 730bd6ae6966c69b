"""Which process a worker is, so that it can be told later, on the same machine, whether it has ended.

    name = own()        # "machine boot namespace pid start"
    is_gone(name)       # True only where that is certain: a process that cannot be seen from here may be alive

A process is named by its machine, boot id (random(4)), its PID namespace, its PID and when it started (proc(5)): a PID
that was given again is another process.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_STARTED = 19  # field 22 of /proc/PID/stat, counted behind the name in parentheses


def boot_id() -> str:
    """Names this boot of this machine: boot times can be compared only within one. Source: random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def machine() -> str:
    """This machine, over its boots: 32 hexadecimal digits of a hash of machine-id(5) and host name.

    Machines that were cloned, and containers of one image, have one machine-id; by their names they are told apart. It
    stands in certificates, where machine-id(5) asks for a hash. Without a machine-id each boot is a machine of its own.
    """
    try:
        known = Path("/etc/machine-id").read_text().strip() or boot_id()
    except OSError:
        known = boot_id()
    return hashlib.sha256(f"glomska {known} {os.uname().nodename}".encode()).hexdigest()[:32]


def own(pid: str = "self") -> str:
    """This process, or another one that is alive. Raises OSError when it is not."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    number, rest = stat.split(" ", 1)[0], stat.rpartition(")")[2].split()
    space = Path("/proc/self/ns/pid").readlink().name
    return f"{machine()} {boot_id()} {space} {number} {rest[_STARTED]}"


def machine_of(process: str) -> str:
    """The machine of a process; empty where it is not known."""
    return process.partition(" ")[0]


def has_restarted(process: str, boot: str) -> bool:
    """Whether the machine that it ran on is this one, and has been started again since. `boot` as in `is_gone`."""
    if not process:
        return boot != boot_id()
    where, then, *_ = process.split(" ")
    return where == machine() and then != boot_id()


def is_gone(process: str, boot: str) -> bool:
    """Whether it has ended for certain. `boot` is the boot that it registered from, where nothing else is known of it.

    A worker without a name of this kind is of a version that served one machine: a boot that is over ended it.
    """
    if has_restarted(process, boot):
        return True
    if not process or machine_of(process) != machine():
        return False
    _where, _then, space, pid, _started = process.split(" ")
    if space != Path("/proc/self/ns/pid").readlink().name:
        return False
    try:
        return own(pid) != process
    except OSError:
        return True
