"""The way of a reading: decode, admit, pseudonymise, seal. Arrivals go in, sealed points and refusals come out.

    arrivals ─▶ decode ─▶ admit ─▶ pseudonymise ─▶ seal ─▶ points, each owned by the arrival it came from
                  └─────────┴─▶ refusals, by reason; a message is refused when nothing of it remains

Pure: no clock, no network, no key store. Devices come in by index of arrival, looked up before (`keys.ring`). What
comes out settles message by message: an arrival may be acknowledged once all its points are accepted, or it is
refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from gateway.keys.handle import Device
from gateway.model.clear import Arrival, Refusals
from gateway.model.sealed import Reason, SealedPoint
from gateway.pipeline.admit import Admission
from gateway.pipeline.decode import Decoder
from gateway.pipeline.mapped import Mapping
from gateway.pipeline.names import Names
from gateway.pipeline.pseudonymise import Pseudonymiser
from gateway.pipeline.seal import Sealer
from gateway.policy.rules import Policy


@dataclass(slots=True)
class Processed:
    """What became of a batch of arrivals: `owners[i]` is the index of the arrival that `points[i]` came from."""

    points: list[SealedPoint] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    untimed: int = 0
    many: dict[int, int] = field(default_factory=dict)  # as in Readings


class Chain:
    """The four stages, compiled from one policy."""

    __slots__ = ("admit", "decode", "names", "pseudonymise", "seal")

    def __init__(self, policy: Policy, *, max_payload_bytes: int, mappings: Sequence[Mapping] = ()) -> None:
        self.decode = Decoder(policy.quantities, max_payload_bytes, mappings)
        self.admit = Admission(policy)
        self.names = Names()
        self.pseudonymise = Pseudonymiser(policy)
        self.seal = Sealer(policy)

    def without(
        self, over: Collection[int], arrivals: Sequence[Arrival], devices: Sequence[Device | Reason], now: int
    ) -> Processed:
        """The same for a batch of which some are refused as `rate`, unread: see `budget`."""
        kept = [index for index in range(len(arrivals)) if index not in over]
        done = self([arrivals[index] for index in kept], [devices[index] for index in kept], now)
        done.owners = [kept[owner] for owner in done.owners]
        done.many = {kept[index]: readings for index, readings in done.many.items()}
        done.refusals.message = {kept[index]: reason for index, reason in done.refusals.message.items()}
        for index in over:
            done.refusals.add(index, Reason.RATE)
        return done

    def __call__(
        self, arrivals: Sequence[Arrival], devices: Sequence[Device | Reason], now: int, *, arrived: int | None = None
    ) -> Processed:
        """Args: `devices[i]` is the device of `arrivals[i]`, or why there is none; `now` is wall time in ns.

        `arrived` is when they came, where that was not now: what readings without a time of their own are dated to.
        """
        done = Processed()
        readings = self.decode(arrivals, now if arrived is None else arrived, done.refusals)
        done.many = readings.many
        admitted = self.names(self.admit(readings, devices, now, done.refusals), devices, done.refusals)
        for nameless in self.pseudonymise(admitted):
            self.seal(nameless, done.points, done.owners)
        done.untimed = len(readings.untimed.intersection(done.owners)) if readings.untimed else 0
        return done
