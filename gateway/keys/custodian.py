"""What holds W_e, the wrapping key of one KEK. Destroying W_e destroys KEK_e and every row under it, copies included.

A custodian is four methods. `FileCustodian` keeps each W in a file of its own, mode 0600, which belongs on another
medium than the key store: whoever has both has everything. It cannot attest that no copy of that medium was made.

    W file = 32 raw bytes, named after a hash of the controller and e
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Protocol

from gateway.crypto import envelope
from gateway.crypto.derive import KEY_BYTES
from gateway.errors import ConfigurationFault, CustodianFault, VerificationFailed
from gateway.model.ids import Controller


class Custodian(Protocol):
    """Keeps wrapping keys and never gives one out."""

    kind: ClassVar[str]

    def create(self, controller: Controller, e: int) -> None:
        """Make W_e; nothing happens when it exists. Raises CustodianFault."""

    def wrap(self, controller: Controller, e: int, kek: bytes) -> bytes:
        """KEK_e under W_e. Raises CustodianFault."""

    def unwrap(self, controller: Controller, e: int, wrapped: bytes) -> bytes:
        """KEK_e, 32 bytes. Raises CustodianFault when W_e is missing, readable by others, or not the right one."""

    def destroy(self, controller: Controller, e: int) -> None:
        """Make W_e unrecoverable; nothing happens when it is absent. Raises CustodianFault."""


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
                _write_synced(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                with contextlib.suppress(FileExistsError):
                    file.hardlink_to(fresh)
            finally:
                fresh.unlink(missing_ok=True)
            _sync_directory(self._directory)

    def wrap(self, controller: Controller, e: int, kek: bytes) -> bytes:
        """KEK_e under W_e. Raises CustodianFault."""
        return envelope.wrap_kek(self._read(controller, e), kek, controller=controller, e=e)

    def unwrap(self, controller: Controller, e: int, wrapped: bytes) -> bytes:
        """KEK_e. Raises CustodianFault when W_e is missing, readable by others, or not the right one."""
        try:
            return envelope.unwrap_kek(self._read(controller, e), wrapped, controller=controller, e=e)
        except VerificationFailed:
            message = f"the custodian's key file for e = {e} is not the one this key store was wrapped with"
            raise CustodianFault(message, hint="put back the key file that belongs to this key store") from None

    def destroy(self, controller: Controller, e: int) -> None:
        """Overwrite and unlink. What a medium keeps of overwritten blocks is beyond a file's reach."""
        file = self._file(controller, e)
        with _faults("destroyed"), contextlib.suppress(FileNotFoundError):
            _write_synced(os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
            file.unlink()
            _sync_directory(self._directory)

    def _file(self, controller: Controller, e: int) -> Path:
        return self._directory / f"w-{sha256(controller.encode()).hexdigest()[:16]}-{e}.key"

    def _check_directory(self) -> None:
        """Whoever may write there can exchange a key or destroy it."""
        mode = stat.S_IMODE(self._directory.stat().st_mode)
        if mode & 0o022:
            message = f"the custodian's directory may be written by others (mode {mode:04o})"
            raise CustodianFault(message, hint="chmod 700 the directory, and find out who may have written there")

    def _read(self, controller: Controller, e: int) -> bytes:
        file = self._file(controller, e)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe must not make us wait
        except OSError as fault:
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


def open_custodian(url: str, *, state: Path) -> Custodian:
    """`file:DIRECTORY`, relative to the state directory. Raises ConfigurationFault for another scheme."""
    scheme, _, where = url.partition(":")
    if scheme != "file" or not where:
        message = "keys.custodian: only file:DIRECTORY is known"
        raise ConfigurationFault(message)
    return FileCustodian(state / where)


@contextlib.contextmanager
def _faults(act: str) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        message = f"the custodian's key file could not be {act}: {fault.strerror}"
        raise CustodianFault(message, hint="check owner, mode and free space of the custodian's directory") from None


def _write_synced(descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
