"""Secrets that the gateway is given: alone in a file, mode 0600, never in the configuration or the environment.

`read_secret(settings.mqtt.password_file)` gives bytes; nothing here keeps them.
"""

from __future__ import annotations

from pathlib import Path

from gateway.errors import ConfigurationFault

_OTHERS = 0o077
"""Permission bits that give a file to other users."""


def read_secret(path: Path) -> bytes:
    """The secret in a file, without the line end. Raises ConfigurationFault, which shows the path alone."""
    trouble = trouble_with(path)
    if trouble:
        raise ConfigurationFault(f"{path}: {trouble}")
    return path.read_bytes().rstrip(b"\r\n")


def trouble_with(path: Path) -> str:
    """What keeps a file from being used as a secret, with the next step; empty when nothing does."""
    try:
        if path.stat().st_mode & _OTHERS:
            return "found a file that others may use; allowed: mode 0600"
        return "" if path.read_bytes().strip() else "found an empty file; allowed: the secret alone"
    except (OSError, ValueError) as error:  # ValueError: no path can have that name
        reason = (getattr(error, "strerror", None) or "unknown reason").lower()
        return f"found no readable file ({reason}); allowed: a file with the secret, readable by this user alone"
