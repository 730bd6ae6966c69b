"""What makes names on a disk last: a file that is written and fsynced can still be gone with its directory's entry."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Names that were made or removed in it are durable. Raises OSError. Source: fsync(2)."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
