"""Which custodian the configuration names; see `keys.custody` for what all of them promise."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import ConfigurationFault
from gateway.keys.custody import Custodian, Destruction, Mark
from gateway.keys.keyfile import FileCustodian
from gateway.keys.recovery import PairedCustodian

__all__ = ["Custodian", "Destruction", "FileCustodian", "Mark", "PairedCustodian", "open_custodian"]


def open_custodian(url: str, *, state: Path, pin: bytes | None = None) -> Custodian:
    """The custodian of a URL; nothing is asked of it yet.

    Args:
        url: `file:DIRECTORY`, relative to `state`, or `pkcs11:token=LABEL;module=FILE`.
        state: the state directory.
        pin: of the token.

    Raises:
        ConfigurationFault: another scheme, or a token without a PIN.
    """
    scheme, _, where = url.partition(":")
    if scheme == "file" and where:
        return FileCustodian(state / where)
    parts = dict(part.partition("=")[::2] for part in where.split(";"))
    if scheme == "pkcs11" and pin is not None and parts.keys() == {"token", "module"}:
        from gateway.keys.token import TokenCustodian  # noqa: PLC0415 - nobody else needs its library

        return TokenCustodian(parts["module"], parts["token"], pin)
    message = "keys.custodian: only file:DIRECTORY and pkcs11:token=LABEL;module=FILE with keys.pin_file are known"
    raise ConfigurationFault(message)
