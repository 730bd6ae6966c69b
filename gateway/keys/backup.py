"""The bytes of a backup: a copy of the key store behind a second lock, which the custodian destroys on a date.

    file   = "glomska backup 1" newline header newline chunk…
    header = {"key", "ledger", "made", "seq", "until"}: JSON; until: the day, since 1970, on which the lock is destroyed
    key    = K, 32 random bytes of this backup, wrapped by the custodian's W of ("#backup", until), base64url
    chunk  = u32 length AES-256-GCM-SIV(K, nonce = u64 number u32 last, ≤ 1 MiB, aad = the first two lines)

`last` is 1 in the last chunk alone, so that a file that was cut does not open. In it are rows as the key store has
them: wrapped under KEK_e, and KEK_e wrapped by W_e. W is never in it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.crypto import aead, signing
from gateway.crypto.derive import KEY_BYTES
from gateway.errors import CustodianFault, UsageFault, VerificationFailed
from gateway.keys.custody import Custodian
from gateway.model.ids import Controller

LOCK = Controller("#backup")
"""Whose W locks backups: no controller can be named so."""
_MAGIC = b"glomska backup 1\n"
_CHUNK = 1 << 20
_LENGTH = 4  # bytes
_ENDED = (
    "mount or connect the custodian that it was made with; if its date has come, take another: its key is destroyed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in front, readable by anyone."""

    key: str
    ledger: str
    made: int
    seq: int
    until: int


def write(  # noqa: PLR0913 - what the header says
    custodian: Custodian, copy: Path, file: Path, *, ledger: str, seq: int, made: int, until: int
) -> None:
    """Seal a copy of the key store; the lock of its date is made when it is missing. Raises CustodianFault, OSError."""
    custodian.create(LOCK, until)
    key = secrets.token_bytes(KEY_BYTES)
    wrapped = signing.encode(custodian.wrap(LOCK, until, key))
    header = Header(key=wrapped, ledger=ledger, made=made, seq=seq, until=until)
    head = _MAGIC + json.dumps(asdict(header), sort_keys=True).encode() + b"\n"
    cipher, number = aead.cipher(key), 0
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with copy.open("rb") as source, os.fdopen(descriptor, "wb") as target:
        target.write(head)
        data = source.read(_CHUNK)
        while True:
            following = source.read(_CHUNK)
            sealed = cipher.encrypt(aead.reading_nonce(number, 0 if following else 1), data, head)
            target.write(len(sealed).to_bytes(_LENGTH) + sealed)
            if not following:
                target.flush()
                os.fsync(target.fileno())
                return
            data, number = following, number + 1


def read_header(file: Path) -> Header:
    """Raises UsageFault for a file that is no backup, or cannot be read."""
    try:
        with file.open("rb") as stream:
            magic, line = stream.readline(), stream.readline()
        return Header(**json.loads(line)) if magic == _MAGIC else _none()
    except OSError as fault:
        raise UsageFault(f"the backup cannot be read: {(fault.strerror or '').lower()}") from None
    except (ValueError, TypeError):
        return _none()


def read(custodian: Custodian, file: Path) -> Iterator[bytes]:
    """The copy, piece by piece.

    Raises:
        CustodianFault: its lock is not there: its date has come, or it is another custodian's.
        Unreachable: the custodian is away.
        VerificationFailed: it was cut or changed.
    """
    header = read_header(file)
    try:
        key = custodian.unwrap(LOCK, header.until, signing.decode(header.key))
    except CustodianFault:
        if custodian.exists(LOCK, header.until):
            raise
        date = datetime.fromtimestamp(header.until * 86_400, UTC).date()
        message = f"the custodian does not have the key of this backup, which ends on {date}"
        raise CustodianFault(message, hint=_ENDED) from None
    cipher, number, last = aead.cipher(key), 0, False
    with file.open("rb") as stream:
        head = stream.readline() + stream.readline()
        following = stream.read(_LENGTH)
        while len(following) == _LENGTH and not last:
            sealed = stream.read(int.from_bytes(following))
            following = stream.read(_LENGTH)
            last = not following
            try:
                yield cipher.decrypt(aead.reading_nonce(number, int(last)), sealed, head)
            except (aead.InvalidTag, ValueError):
                raise VerificationFailed("this backup was cut or changed", hint="use another one") from None
            number += 1
    if not last:
        raise VerificationFailed("this backup was cut", hint="use another one")


def _none() -> Header:
    raise UsageFault("this file is not a backup of a key store", hint="give a file that `glomska keys backup` wrote")
