"""The books of one run: what a broker has acknowledged, by kind, so that a gateway's books can be held against it.

`published` counts distinct messages: `published = valid + untimed + malformed`; `deliveries = published + duplicate` is
the number of acknowledged PUBLISHes. A gateway in order has stored `valid` once and refused `refused_expected`; of
`untimed` it has stored each at least once, at the time of its arrival.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from firmware_sim.fleet import Kind, Message


@dataclass(slots=True)
class Tally:
    """Counts of acknowledged messages, and of what became of the others.

    out_of_order    valid messages older than one of their device that came before
    rejected        answered by the broker with an error: not delivered
    unacknowledged  under way when the run was stopped: delivered or not
    resent          sent once more after a broken connection
    """

    kinds: Counter[Kind] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    refused_expected: Counter[str] = field(default_factory=Counter)
    out_of_order: int = 0
    rejected: int = 0
    unacknowledged: int = 0
    resent: int = 0
    _newest: dict[str, int] = field(default_factory=dict)

    @property
    def published(self) -> int:
        """Distinct messages."""
        return self.kinds.total() - self.kinds[Kind.DUPLICATE]

    @property
    def deliveries(self) -> int:
        """PUBLISHes that the broker has acknowledged, duplicates included."""
        return self.kinds.total()

    def settled(self, message: Message, accepted: bool) -> None:
        """The broker has answered: it has the message, or does not want it."""
        if not accepted:
            self.rejected += 1
            return
        self.kinds[message.kind] += 1
        if message.kind is Kind.MALFORMED:
            self.faults[message.fault] += 1
            self.refused_expected[message.reason] += 1
        elif message.kind is Kind.VALID:
            newest = self._newest.setdefault(message.topic, message.time)
            self.out_of_order += message.time < newest
            self._newest[message.topic] = max(newest, message.time)

    def summary(self) -> dict[str, object]:
        """What `--json` prints of it."""
        return {
            "published": self.published,
            "valid": self.kinds[Kind.VALID],
            "duplicate": self.kinds[Kind.DUPLICATE],
            "malformed": self.kinds[Kind.MALFORMED],
            "untimed": self.kinds[Kind.UNTIMED],
            "deliveries": self.deliveries,
            "out_of_order": self.out_of_order,
            "rejected": self.rejected,
            "unacknowledged": self.unacknowledged,
            "resent": self.resent,
            "refused_expected": dict(sorted(self.refused_expected.items())),
            "faults": dict(sorted(self.faults.items())),
        }
