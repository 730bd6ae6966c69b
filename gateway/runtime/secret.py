"""Secrets that the gateway is given: alone in a file, mode 0600, never in the configuration or the environment.

`read_secret(settings.mqtt.password_file)` gives bytes; nothing here keeps them. `login_to(settings.store)` is what they
make of a store's server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationFault
from gateway.transport.store import Login

if TYPE_CHECKING:
    from gateway.runtime.config import StoreSettings  # which looks at secrets itself

_OTHERS = 0o077
"""Permission bits that give a file to other users."""


def read_secret(path: Path) -> bytes:
    """The secret in a file, without the line end. Raises ConfigurationFault, which shows the path alone."""
    trouble = trouble_with(path)
    if trouble:
        raise ConfigurationFault(f"{path}: {trouble}")
    return path.read_bytes().rstrip(b"\r\n")


def optional_secret(path: Path | None) -> bytes | None:
    """The same where a file is named. Raises ConfigurationFault."""
    return None if path is None else read_secret(path)


def login_to(store: StoreSettings) -> Login | None:
    """Raises ConfigurationFault."""
    if store.token_file is not None:
        return Login(token=read_secret(store.token_file))
    if store.username is None or store.password_file is None:
        return None
    return Login(username=store.username, password=read_secret(store.password_file))


def trouble_with(path: Path) -> str:
    """What keeps a file from being used as a secret, with the next step; empty when nothing does."""
    try:
        if path.stat().st_mode & _OTHERS:
            return "found a file that others may use; allowed: mode 0600"
        return "" if path.read_bytes().strip() else "found an empty file; allowed: the secret alone"
    except (OSError, ValueError) as error:  # ValueError: no path can have that name
        reason = (getattr(error, "strerror", None) or "unknown reason").lower()
        return f"found no readable file ({reason}); allowed: a file with the secret, readable by this user alone"
