"""Wrapping keys in files, each of its own, mode 0600, in one directory of mode 0700.

The directory belongs on another medium than the key store: whoever has both has everything. A file cannot attest that
no copy of its medium was made, and serves the processes of one machine only.

    W file = 32 raw bytes, named after a hash of the controller and e
    mark   = {"hash": …, "seq": …}, named after the ledger
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import msgspec

from gateway.crypto import envelope
from gateway.crypto.derive import KEY_BYTES
from gateway.disk import sync_directory
from gateway.errors import CustodianFault, Unreachable, VerificationFailed
from gateway.keys.custody import Destruction, Mark
from gateway.model.ids import Controller

_RESIDUE = "copies of the key file's medium, and what the medium keeps of overwritten blocks"


class FileCustodian:
    """W_e as files in one directory of mode 0700."""

    kind: ClassVar[str] = "file"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, controller: Controller, e: int) -> None:
        """Make W_e, durable when this returns. Raises CustodianFault."""
        file = self._file(controller, e)
        with _faults("created"):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = file.with_suffix(f".{secrets.token_hex(8)}.new")  # a key file is there whole, or it is not there
            try:
                _write_synced(
                    os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), secrets.token_bytes(KEY_BYTES)
                )
                with contextlib.suppress(FileExistsError):
                    file.hardlink_to(fresh)
            finally:
                fresh.unlink(missing_ok=True)
            sync_directory(self._directory)

    def wrap(self, controller: Controller, e: int, kek: bytes) -> bytes:
        """KEK_e under W_e. Raises CustodianFault, Unreachable."""
        return envelope.wrap_kek(self._read(controller, e), kek, controller=controller, e=e)

    def unwrap(self, controller: Controller, e: int, wrapped: bytes) -> bytes:
        """KEK_e. Raises CustodianFault when W_e is missing, readable by others, or not the right one; Unreachable."""
        try:
            return envelope.unwrap_kek(self._read(controller, e), wrapped, controller=controller, e=e)
        except VerificationFailed:
            message = f"the custodian's key file for e = {e} is not the one this key store was wrapped with"
            raise CustodianFault(message, hint="put back the key file that belongs to this key store") from None

    def exists(self, controller: Controller, e: int) -> bool:
        """Whether there is a file of its name, whatever is in it. Raises CustodianFault."""
        with _faults("looked for"):
            return os.path.lexists(self._file(controller, e))

    def destroy(self, controller: Controller, e: int) -> Destruction:
        """Overwrite and unlink. What a medium keeps of overwritten blocks is beyond a file's reach.

        Without the directory nothing can be said: its medium may only not be mounted. Raises CustodianFault.
        """
        file = self._file(controller, e)
        with _faults("destroyed"):
            self._directory.stat()
        with _faults("destroyed"), contextlib.suppress(FileNotFoundError):
            _write_synced(os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK), secrets.token_bytes(KEY_BYTES))
            file.unlink()
            sync_directory(self._directory)
        return Destruction(kind=self.kind, attested=False, residue=_RESIDUE)

    def mark(self, ledger: bytes) -> Mark | None:
        """Raises CustodianFault when the mark cannot be read."""
        file = self._mark_file(ledger)
        try:
            return msgspec.json.decode(file.read_bytes(), type=Mark)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as fault:
            message = f"the custodian's mark {file.name} cannot be read: {type(fault).__name__}"
            raise CustodianFault(message, hint="bring it back; without it a restored key store is not seen") from None

    def set_mark(self, ledger: bytes, mark: Mark) -> None:
        """Raises CustodianFault. Who sets it holds the control role, so no two do at once.

        The first one goes beside keys only: a directory without any may be where the medium is not mounted, and a mark
        there would speak for keys that are elsewhere.
        """
        before = self.mark(ledger)
        if before is not None and before.seq >= mark.seq:
            return
        if before is None and not any(self._directory.glob("w-*.key")):
            message = "the custodian's directory holds neither key nor mark, so no mark was written there"
            raise CustodianFault(message, hint="mount its medium; the mark follows with the next act")
        file = self._mark_file(ledger)
        fresh = file.with_suffix(f".{secrets.token_hex(8)}.new")
        with _faults("written"):
            try:
                _write_synced(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), msgspec.json.encode(mark))
                fresh.replace(file)
            finally:
                fresh.unlink(missing_ok=True)
            sync_directory(self._directory)

    def _file(self, controller: Controller, e: int) -> Path:
        return self._directory / f"w-{sha256(controller.encode()).hexdigest()[:16]}-{e}.key"

    def _mark_file(self, ledger: bytes) -> Path:
        return self._directory / f"mark-{ledger.hex()}.json"

    def _check_directory(self) -> None:
        """Whoever may write there can exchange a key or destroy it."""
        mode = stat.S_IMODE(self._directory.stat().st_mode)
        if mode & 0o022:
            message = f"the custodian's directory may be written by others (mode {mode:04o})"
            raise CustodianFault(message, hint="chmod 700 the directory, and find out who may have written there")

    def _require_medium(self, fault: OSError) -> None:
        """Raises Unreachable where nothing of ours is: as in a mount point before its medium is there."""
        ours = (file for name in ("w-*.key", "mark-*.json") for file in self._directory.glob(name))
        if isinstance(fault, FileNotFoundError) and next(ours, None) is None:
            message = f"the custodian's directory {self._directory} holds neither key nor mark"
            raise Unreachable(message, hint="mount its medium; until then only a running gateway emits") from None

    def _read(self, controller: Controller, e: int) -> bytes:
        file = self._file(controller, e)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe must not make us wait
        except OSError as fault:
            self._require_medium(fault)
            message = f"the custodian's key file {file.name} cannot be read: {fault.strerror}"
            raise CustodianFault(message) from None
        self._check_directory()
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                message = f"the custodian's key file {file.name} is readable by others (mode {stat.S_IMODE(mode):04o})"
                raise CustodianFault(message, hint="chmod 600 the key file, and find out who may have read it")
            key = stream.read(KEY_BYTES + 1)
        if len(key) != KEY_BYTES:
            message = f"the custodian's key file {file.name} does not hold {KEY_BYTES} bytes"
            raise CustodianFault(message, hint="put back the key file that belongs to this key store")
        return key


@contextlib.contextmanager
def _faults(act: str) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        message = f"the custodian's key file could not be {act}: {fault.strerror}"
        raise CustodianFault(message, hint="check owner, mode and free space of the custodian's directory") from None


def _write_synced(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
