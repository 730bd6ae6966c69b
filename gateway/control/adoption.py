"""A copy of the ledger that goes further than the one here is put in its place, before a recovery from it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gateway.control.chain import Chain
from gateway.errors import IntegrityStop, UsageFault, VerificationFailed


def adopt(directory: Path, copy: Path) -> None:
    """Put a copy of the ledger, which goes on from the one here, in its place.

    Raises:
        IntegrityStop: the copy is damaged, or is not the same ledger further on.
        UsageFault: there is no such copy.
    """
    here, there = directory / "ledger.jsonl", copy / "ledger.jsonl"
    try:
        chain = Chain()
        for raw in there.read_bytes().splitlines(keepends=True):
            chain.follow(raw)
        before = here.read_bytes() if here.exists() else b""
        if not there.read_bytes().startswith(before[: before.rfind(b"\n") + 1]):
            raise IntegrityStop("the copy is not this ledger further on", hint="give another copy")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("fences.jsonl", "ledger.jsonl"):
            if (copy / name).exists():
                shutil.copyfile(copy / name, directory / f"{name}.new")
                with (directory / f"{name}.new").open("rb") as stream:
                    os.fsync(stream.fileno())
                (directory / f"{name}.new").replace(directory / name)
    except OSError as fault:
        raise UsageFault(f"the copy of the ledger cannot be used: {(fault.strerror or '').lower()}") from None
    except VerificationFailed as fault:
        raise IntegrityStop(str(fault), hint="give another copy") from None
