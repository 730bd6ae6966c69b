"""`python -m tests.filtered UNIT PROGRAM …`: the program, under the system call filter that UNIT asks of systemd.

Which calls are in a group, systemd says itself; the numbers of calls, the C compiler. No systemd has to run for this.
Source: systemd.exec(5), SystemCallFilter; seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

_NO_NEW_PRIVILEGES, _SECCOMP, _WITH_FILTER = 38, 22, 2
_LOAD, _IS, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _said(*command: str) -> list[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout.splitlines()


def _calls(group: str) -> set[str]:
    found = set[str]()
    for word in map(str.strip, _said("systemd-analyze", "syscall-filter", group)[1:]):
        if word and not word.startswith("#"):
            found |= _calls(word) if word.startswith("@") else {word}
    return found


def _numbers() -> dict[str, int]:
    defined = "\n".join(_said("cc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", "-"))
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", defined, re.MULTILINE)}


def _filter(unit: Path) -> bytes:
    """As instructions: what the first filter of the unit allows, less what the others forbid."""
    said = [line.partition("=") for line in unit.read_text(encoding="utf-8").splitlines()]
    allowed, *forbidden = [value for key, _, value in said if key == "SystemCallFilter"]
    failing = [getattr(errno, value) for key, _, value in said if key == "SystemCallErrorNumber"]
    numbers = _numbers()
    names = _calls(allowed).difference(*(_calls(group.removeprefix("~")) for group in forbidden))
    rules = [(_LOAD, 0, 0, 0)]
    for name in sorted(names & numbers.keys()):
        rules += [(_IS, 0, 1, numbers[name]), (_RETURN, 0, 0, _ALLOW)]
    rules.append((_RETURN, 0, 0, _FAIL | failing[0] if failing else _KILL))
    return b"".join(struct.pack("HBBI", *rule) for rule in rules)


def main() -> None:
    """Does not return."""
    rules = _filter(Path(sys.argv[1]))
    kept = ctypes.create_string_buffer(rules)
    program = _Program(len(rules) // 8, ctypes.cast(kept, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for request in ((_NO_NEW_PRIVILEGES, 1, 0, 0), (_SECCOMP, _WITH_FILTER, ctypes.byref(program), 0)):
        if libc.prctl(*request, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
