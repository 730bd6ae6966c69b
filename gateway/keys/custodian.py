"""Which custodian the configuration names; see `keys.custody` for what all of them promise."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import ConfigurationFault
from gateway.keys.custody import Custodian, Destruction, Mark
from gateway.keys.keyfile import FileCustodian

__all__ = ["Custodian", "Destruction", "FileCustodian", "Mark", "open_custodian"]


def open_custodian(url: str, *, state: Path) -> Custodian:
    """`file:DIRECTORY`, relative to the state directory. Raises ConfigurationFault for another scheme."""
    scheme, _, where = url.partition(":")
    if scheme != "file" or not where:
        message = "keys.custodian: only file:DIRECTORY is known"
        raise ConfigurationFault(message)
    return FileCustodian(state / where)
