"""Payloads to readings in columns: what the numbers of a batch of messages are, and which of them are none.

Decides `malformed`, `too_large`, `unknown_quantity`, `unit`, `non_finite`, `no_time`, and refuses the times that no
column can hold (see times). Leaves to admit: topic, device, range, window, purpose. Refusal is per reading; a message
is refused when nothing of it remains.

Flat JSON, the format of nearly all traffic, is read by one compiled decoder that knows every quantity by name, a whole
batch at once (`bulk`) or, where something else is among it, message by message; whatever that does not take is read
again with care (`flat`, `senml`), so all must agree where they accept. CBOR is read with care always: `cbor` gives the
same shapes as `literal` gives for JSON, and from there on the rules are the same:

- A name that an object holds twice counts with its last value.
- null, text and truth values are `malformed` as a reading; NaN, Infinity and 1e999 are `non_finite`.
- JSON or CBOR, and whether it is SenML, is what the content type says, when it is one of the four. Of every other, the
  first byte tells CBOR from JSON, and an array whose first object has `bn`, `n` or `bver` is SenML; so it is also in a
  type that says JSON or CBOR and no more.
- On a topic that a mapping covers nothing of this holds: the mapping decides, and content types count for nothing.
- Rows of one message are in its order; equal readings in it are one, contradicting ones are `malformed`.

    decoder = Decoder(policy.quantities, max_payload_bytes=65_536)
    readings = decoder(arrivals, clock.wall(), refusals)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import numpy as np

from gateway.model.clear import Arrival, Readings, Refusals, Values
from gateway.model.sealed import Reason
from gateway.pipeline import cbor, flat, literal, senml
from gateway.pipeline.bulk import ABSENT, MILLISECONDS, Bulk, flat_struct
from gateway.pipeline.mapped import Mapping
from gateway.pipeline.rows import Rows
from gateway.pipeline.times import InvalidTime, from_text
from gateway.policy.rules import Quantity

_FLAT_TYPES = frozenset({None, "application/json"})
_NOT_TAKEN = (msgspec.DecodeError, UnicodeDecodeError, InvalidTime)
_SENML_TYPES = frozenset({"application/senml+json", "application/senml+cbor"})
_CBOR_TYPES = frozenset({"application/cbor", "application/senml+cbor"})
_TYPES = _SENML_TYPES | _CBOR_TYPES | {"application/json"}
_NOT_FLAT_JSON = _SENML_TYPES | _CBOR_TYPES


class Decoder:
    """Compiled from the policy's quantities, called with each batch."""

    __slots__ = ("_bulk", "_columns", "_fast", "_heads", "_mappings", "_max_payload_bytes", "_numbers", "_quantities")

    def __init__(
        self, quantities: Sequence[Quantity], max_payload_bytes: int, mappings: Sequence[Mapping] = ()
    ) -> None:
        """At least one quantity; names and numbers distinct, no name `time` or `rev`. Larger payloads are refused."""
        ordered = sorted(quantities, key=lambda quantity: quantity.number)
        self._quantities = {quantity.name: quantity for quantity in ordered}
        self._numbers = {quantity.name: quantity.number for quantity in ordered}
        self._columns = [quantity.number for quantity in ordered]
        self._max_payload_bytes = max_payload_bytes
        self._mappings = tuple(mappings)
        self._heads = tuple(mapping.pattern.head for mapping in mappings)
        self._bulk = Bulk(self._numbers, max_payload_bytes)
        self._fast = msgspec.json.Decoder(flat_struct(list(self._quantities), MILLISECONDS | str)).decode

    def __call__(self, arrivals: Sequence[Arrival], now: int, refusals: Refusals) -> Readings:
        """The rows of a batch that arrived at `now` (ns since 1970); what is refused is added to `refusals`.

        Readings without absolute time take the arrival time. That of arrival i is now + i ns: two messages of one
        device in one batch must not take the same, or the second would overwrite the first.
        """
        readings = self._at_once(arrivals)
        return self._one_by_one(arrivals, now, refusals) if readings is None else readings

    def _at_once(self, arrivals: Sequence[Arrival]) -> Readings | None:
        """A batch that is flat JSON throughout, without fault; nearly all are."""
        heads = self._heads
        if not arrivals or (heads and any(arrival.topic.startswith(heads) for arrival in arrivals)):
            return None
        if not _FLAT_TYPES.issuperset([arrival.content_type for arrival in arrivals]):
            return None
        return self._bulk([arrival.payload for arrival in arrivals])

    def _one_by_one(self, arrivals: Sequence[Arrival], now: int, refusals: Refusals) -> Readings:
        batch = _Batch()
        message, time, revision, row = (  # every look-up in this loop counts
            batch.message.append, batch.time.append, batch.revision.append, batch.rows.append,
        )  # fmt: skip
        decode, astuple, limit, end, heads = (
            self._fast,
            msgspec.structs.astuple,
            self._max_payload_bytes,
            1 + len(self._columns),
            self._heads,
        )
        for index, arrival in enumerate(arrivals):
            payload = arrival.payload
            if len(payload) > limit:
                refusals.add(index, Reason.TOO_LARGE)
                continue
            if heads and arrival.topic.startswith(heads) and (mapping := self._mapping(arrival.topic)):
                self._put(index, self._read_mapped(payload, mapping, now + index), batch, refusals)
                continue
            if arrival.content_type in _FLAT_TYPES or _media_type(arrival.content_type) not in _NOT_FLAT_JSON:
                try:
                    item = decode(payload)
                    written = item.time
                    time(written * 1_000_000 if type(written) is int else from_text(written))
                except _NOT_TAKEN:
                    pass
                else:
                    message(index)
                    revision(item.rev)
                    row(astuple(item)[1:end])
                    continue
            self._put(index, self._read_with_care(arrival, now + index), batch, refusals)
        return self._in_columns(batch, refusals)

    def _read_with_care(self, arrival: Arrival, now: int) -> Rows:
        """What one message says, by the format that it is in."""
        rows = Rows()
        said = _media_type(arrival.content_type)
        is_cbor = said in _CBOR_TYPES or (said not in _TYPES and cbor.begins(arrival.payload))
        try:
            document = cbor.parse(arrival.payload) if is_cbor else literal.parse(arrival.payload)
        except (ValueError, RecursionError):
            rows.refuse(Reason.MALFORMED)
            return rows
        if said in _SENML_TYPES or senml.is_pack(document):
            senml.read(senml.named(document) if is_cbor else document, self._quantities, now, rows)
        else:
            flat.read(document, self._numbers, rows)
        return rows

    def _mapping(self, topic: str) -> Mapping | None:
        return next((mapping for mapping in self._mappings if mapping.pattern.parse(topic) is not None), None)

    @staticmethod
    def _read_mapped(payload: bytes, mapping: Mapping, now: int) -> Rows:
        """What one message on a mapped topic says."""
        rows = Rows()
        try:
            document = literal.parse(payload)
        except (ValueError, RecursionError):
            return rows
        mapping.read(document, now, rows)
        return rows

    def _put(self, index: int, found: Rows, batch: _Batch, refusals: Refusals) -> None:
        """Add what one message gave to the batch: rows and single refusals, or the refusal of the message."""
        rows = found.settle()
        for (time, revision), values in rows.items():
            batch.put(index, time, revision, tuple(values.get(number, ABSENT) for number in self._columns))
            if time in found.untimed:
                batch.untimed.add(index)
        if rows:
            batch.many[index] = len(rows) + sum(found.refused.values())
            for reason, readings in found.refused.items():
                refusals.add_readings(reason, readings)
        else:  # an empty list, or one of nothing that is wanted, has not even a refusal
            for reason, readings in (found.refused or {Reason.MALFORMED: 1}).items():
                refusals.add(index, reason, readings)

    def _in_columns(self, batch: _Batch, refusals: Refusals) -> Readings:
        """The batch as columns, less objects that the fast path took although they hold no reading: `malformed`."""
        width = len(self._columns)
        values = np.fromiter(chain.from_iterable(batch.rows), float, len(batch.rows) * width).reshape(-1, width)
        empty = np.isnan(values).all(axis=1)
        for row in np.flatnonzero(empty)[::-1].tolist():
            refusals.add(batch.message[row], Reason.MALFORMED)
            del batch.message[row], batch.time[row], batch.revision[row]
        values = self._by_number(values[~empty] if empty.any() else values)
        return Readings(batch.message, batch.time, batch.revision, values, batch.untimed, batch.many)

    def _by_number(self, values: Values) -> Values:
        """Columns moved to their quantity's number, for a policy whose numbers have gaps."""
        width = self._columns[-1] + 1
        if width == len(self._columns):
            return values
        wide = np.full((len(values), width), ABSENT)
        wide[:, self._columns] = values
        return wide


@dataclass(slots=True)
class _Batch:
    """Four columns that grow together, as in Readings, but for `rows`: a tuple of values for each row."""

    message: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    revision: list[int] = field(default_factory=list)
    rows: list[tuple[float, ...]] = field(default_factory=list)
    untimed: set[int] = field(default_factory=set)
    many: dict[int, int] = field(default_factory=dict)

    def put(self, message: int, time: int, revision: int, values: tuple[float, ...]) -> None:
        """Add one row."""
        self.message.append(message)
        self.time.append(time)
        self.revision.append(revision)
        self.rows.append(values)


def _media_type(content_type: str | None) -> str | None:
    """A content type without its parameters, in lower case."""
    return None if content_type is None else content_type.partition(";")[0].strip().lower()
