"""The contract of a store of sealed points. One conformance suite runs over every implementation.

A store is asked to write again what it already has, and nothing changes: series, time and field name a point. It never
raises for a point's sake: what it could not take is in the outcome. A server that does not answer, or answers an error
that may pass (401, 403, 404, 408, 429, 5xx, time-out), keeps the whole batch: `Unreachable` is raised with what to do,
and the caller tries again. A 400 or 422 raises `StoreRefused`, until dead letters can take the offending points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from gateway.errors import Unreachable
from gateway.model.sealed import Outcome, SealedPoint


class StoreRefused(Unreachable):
    """The store answers, and will not take the batch (400, 422): reading stops until someone looks."""

    code: ClassVar[str] = "store_refused"
    hint = "see the store's own log for the reason; nothing was acknowledged, the broker keeps the messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a store can take points now, in words, with a next step when it cannot."""

    ok: bool
    detail: str
    hint: str = ""


class Store(Protocol):
    """Where sealed points are written, read back, and deleted by pseudonym."""

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """Durable when it returns. Raises Unreachable or StoreRefused: then all points are kept."""

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """Stored fields, one a point, of these series with start <= time < end (ns), by series and time."""

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """Remove all points of these series; the number seen before and gone after. Raises Unreachable."""

    def health(self) -> Health:
        """Reachable, and set up so that it can hold what we write?"""

    def close(self) -> None:
        """Let go of connections and files."""
