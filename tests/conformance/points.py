"""Points for the suite, and what stores can hold where that differs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import Reason, SealedPoint, Series

NOW = 1_700_000_000_123_456_789  # past on any machine, and beyond no server's retention here
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
random_ = random.Random(28)

Field = tuple[str, int, str, str, str, str | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a store can hold, where they differ by nature. What they have in common is what the suite asks of all."""

    numbers_only: bool = False
    tick: int = 1  # ns between two times that it tells apart
    earliest: int = 0
    latest: int = 2**63 - 2
    too_late: Reason = Reason.STORE
    rounding: float = 0.0  # of a number, relative
    last_stays: bool = True  # of two values of one name and time
    tells_time: bool = True


class Make:
    """Points that this store can hold: sealed where it can hold text, else the same as numbers."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.tick = traits.tick
        self.now = NOW // self.tick * self.tick

    def at(self, ticks: int) -> int:
        return self.now + ticks * self.tick

    def number(self, series: Series, name: str, value: float, ticks: int = 0) -> SealedPoint:
        return SealedPoint(series, self.at(ticks), "", "", ((name, value),))

    def point(
        self, series: Series, ticks: int = 0, field: str = "s_1d", *, at: int | None = None, **clear: float
    ) -> SealedPoint:
        time = self.at(ticks) if at is None else at
        if not self.traits.numbers_only:
            return SealedPoint(series, time, field, sealed_text(), tuple(clear.items()))
        name = field.replace("s_", "mask", 1)
        return SealedPoint(series, time, "", "", ((name, random_.randrange(10**6) / 100), *clear.items()))


def new_series(measurement: str = "telemetry", area: str = "SE3") -> Series:
    pseudonym = "".join(random_.choices(BASE32, k=26))
    return Series(measurement, Pseudonym(pseudonym), area, KeyId(random_.randbytes(16)))


def sealed_text() -> str:
    return "AQE" + "".join(random_.choices(BASE64URL, k=48))


def as_stored(points: Iterable[SealedPoint]) -> list[Field]:
    """(pseudonym, time, field, measurement, area, value) of every stored field; a later write replaces an earlier."""
    found: dict[tuple[str, int, str, str], tuple[str, str | float]] = {}
    for p in points:
        fields: list[tuple[str, str | float]] = [*p.clear, *([(p.field, p.value)] if p.value else [])]
        for field, value in fields:
            found[p.series.pseudonym, p.time, field, p.series.measurement] = (p.series.area, value)
    return sorted((*key, *value) for key, value in found.items())
