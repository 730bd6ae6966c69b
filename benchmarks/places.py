"""Where a measured program runs, and how it is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one process of a pipeline runs: the broker's port, the store's URL, a directory that is its own."""

    broker_port: int
    store_url: str
    state: Path
    messages: int


@dataclass(frozen=True, slots=True)
class Start:
    """A command line, what its environment has more than ours, and how it tells that it is ready (see `Program`)."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_text: str = ""
