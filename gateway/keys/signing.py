"""The key that the ledger and the certificates are signed with: a file of its own, outside key store and ledger.

    FILE        the private key, PKCS #8 in PEM, mode 0600; made at first use
    FILE.next   during a rotation: the key that comes next, from before its act until it takes the place

Which key is the right one the ledger says: it names its public key, and here is looked for the private half. So a
rotation that was ended at any point signs on with the one that the ledger has come to.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from gateway.crypto import signing
from gateway.crypto.signing import from_pem, open_jws, signed_part, to_pem, verify
from gateway.errors import CustodianFault
from gateway.keys.handle import Redacted

__all__ = ["SigningKey", "from_pem", "open_jws", "signed_part", "to_pem", "verify"]

_LOST = "put the file back; if it is lost, `glomska ledger rotate-key --lost` begins a new key, and the ledger says so"


class SigningKey(Redacted):
    """Signs with a file that is read each time: no signing key stays in memory, and a rotation needs no restart."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._next = file.with_name(file.name + ".next")

    def begin(self) -> str:
        """The public key of a ledger that has none yet. Raises CustodianFault."""
        if not self.file.exists():
            self._write(self.file)
        return signing.public_of(self._read(self.file))

    def require(self, public: str) -> None:
        """Whether what is signed now would be signed by this key. Raises CustodianFault."""
        self._find(public)

    def sign(self, public: str, data: bytes) -> str:
        """A signature that `public` verifies. Raises CustodianFault when its private half is not here."""
        return signing.sign(self._find(public), data)

    def prepare(self) -> str:
        """The key that comes next, durable; its public half. Raises CustodianFault."""
        while True:
            if (
                not self._next.exists()
            ):  # else it is of a rotation that has not come into the ledger: nobody has used it
                self._write(self._next)
            with contextlib.suppress(FileNotFoundError):  # another rotation took it into use
                return signing.public_of(self._read(self._next))

    def _find(self, public: str) -> bytes:
        for file in (self.file, self._next):
            with contextlib.suppress(FileNotFoundError):
                private = self._read(file)
                if signing.public_of(private) == public:
                    if file is self._next:
                        self._next.replace(self.file)  # the key before is overwritten: nobody signs with it again
                    return private
        message = f"the signing key {self.file.name} is missing, or is not the one that the ledger names"
        raise CustodianFault(message, hint=_LOST)

    def _read(self, file: Path) -> bytes:
        try:
            with file.open("rb") as stream:
                mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
                private = stream.read()
        except FileNotFoundError:
            raise
        except OSError as fault:
            raise CustodianFault(f"the signing key {file.name} cannot be read: {fault.strerror}") from None
        if mode & 0o077:
            message = f"the signing key {file.name} is readable by others (mode {mode:04o})"
            raise CustodianFault(message, hint="chmod 600 it; if others may have read it, rotate it")
        try:
            signing.public_of(private)
        except ValueError:
            raise CustodianFault(f"{file.name} is not an Ed25519 key in PEM", hint=_LOST) from None
        return private

    def _write(self, file: Path) -> None:
        """Whole or not there: of two processes at once the first one's counts."""
        fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as stream:
                stream.write(signing.make_key())
                stream.flush()
                os.fsync(stream.fileno())
            with contextlib.suppress(FileExistsError):
                file.hardlink_to(fresh)
            fresh.unlink()
        except OSError as fault:
            raise CustodianFault(f"the signing key {file.name} could not be written: {fault.strerror}") from None
