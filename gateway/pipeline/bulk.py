"""Many flat JSON objects at once: what `decode` does message by message, in five calls for a whole batch.

Takes a batch only when every payload is one flat object with integer `time`; of any other it says None, having changed
nothing, and the batch is read message by message. What it takes it reads exactly as that would.

Why no payload can shift another's place, whatever a device sends: the joined payloads are read as one run of objects
with white space between. Each payload must begin with a brace, and there must be no other opening brace in the batch,
nor fewer objects than payloads: then object i opens where payload i begins, and has closed before payload i + 1 does.
(Newlines between them would not do: the decoder takes two objects in one line, too.)

From objects to columns the way goes through MessagePack, because it is a fixed layout: a float takes 9 octets, an
integer from 2^32 on 9, a revision one. One object of known values, encoded once, tells where each column lies; a batch
whose octets are not that many a message holds something shorter, an early time for one, and is not taken.

    many = Bulk({"temperature": 0, "power": 3}, max_payload_bytes=65_536)
    readings = many(payloads)  # or None
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from gateway.model.clear import Readings, Values
from gateway.model.sealed import REVISION_TAKEN
from gateway.pipeline.times import MS_MAX

ABSENT = float("nan")
MILLISECONDS = Annotated[int, msgspec.Meta(ge=0, le=MS_MAX)]
_REVISION = Annotated[int, msgspec.Meta(ge=0, le=REVISION_TAKEN)]
_NS_PER_MS = 1_000_000
_ARRAY_HEADS = ((16, 1), (65_536, 3), (2**32, 5))  # an array of fewer than n has a head of so many octets


def flat_struct(names: Sequence[str], time: Any) -> type[Any]:  # noqa: ANN401 - an annotation
    """The flat object as a type: `time`, then `names` in order, then `rev`. Anything else in it is not taken.

    Fields have names of our own, because a quantity may be called what Python keeps for itself.
    """
    fields = {f"quantity_{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct(
        "Flat",
        [("time", time), *((own, float, ABSENT) for own in fields), ("rev", _REVISION, 0)],
        rename=fields,
        forbid_unknown_fields=True,
        gc=False,
    )


class Bulk:
    """Compiled from the numbers of the quantities by name; called with the payloads of a batch, at least one."""

    __slots__ = ("_columns", "_decode", "_encode", "_layout", "_max_payload_bytes")

    def __init__(self, numbers: Mapping[str, int], max_payload_bytes: int) -> None:
        flat = flat_struct(list(numbers), MILLISECONDS)
        self._decode = msgspec.json.Decoder(flat).decode_lines
        self._encode = msgspec.msgpack.Encoder().encode
        self._columns = tuple(numbers.values())
        self._max_payload_bytes = max_payload_bytes
        self._layout = self._learned(flat)

    def __call__(self, payloads: Sequence[bytes]) -> Readings | None:
        """One row a message, or None when they are not all of the one kind."""
        objects = self._objects(payloads)
        columns = self._in_columns(objects) if len(objects) == len(payloads) else None
        if columns is None:
            return None
        values = self._values(columns)
        if np.isnan(values).all(axis=1).any():  # an object that holds no reading
            return None
        time = (columns["time"].astype(np.int64) * _NS_PER_MS).tolist()
        return Readings(list(range(len(payloads))), time, columns["rev"].tolist(), values)

    def _objects(self, payloads: Sequence[bytes]) -> list[Any]:
        """As many as there are payloads, or the batch is not taken."""
        run = b"\n".join(payloads)
        if run.count(b"{") != len(payloads) or {payload[:1] for payload in payloads} != {b"{"}:
            return []
        if len(run) > self._max_payload_bytes and max(map(len, payloads)) > self._max_payload_bytes:
            return []
        try:
            return self._decode(run)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []

    def _in_columns(self, objects: Sequence[object]) -> np.ndarray[Any, np.dtype[np.void]] | None:
        octets, size = self._encode(objects), self._layout.itemsize
        head = next(head for fewer, head in _ARRAY_HEADS if len(objects) < fewer)
        if len(octets) != head + size * len(objects):
            return None
        return np.frombuffer(octets, self._layout, offset=head)

    def _values(self, columns: np.ndarray[Any, np.dtype[np.void]]) -> Values:
        """Column = quantity number, also of a policy whose numbers have gaps."""
        width = max(self._columns) + 1
        values: Values = (
            np.full((len(columns), width), ABSENT) if width > len(self._columns) else np.empty((len(columns), width))
        )
        for number in self._columns:
            values[:, number] = columns[str(number)]
        return values

    def _learned(self, flat: type[Any]) -> np.dtype[np.void]:
        """Where each column lies in one encoded object, seen from one that has known values in it."""
        marks = {number: float(number) + 0.5 for number in self._columns}
        one = self._encode(flat(MS_MAX, *marks.values(), REVISION_TAKEN))
        places = {str(number): (">f8", one.index(struct.pack(">d", mark))) for number, mark in marks.items()}
        places["time"] = (">u8", one.index(struct.pack(">Q", MS_MAX)))
        places["rev"] = ("u1", len(one) - 1)  # the last field; up to 127 an integer is its own octet
        formats, offsets = zip(*places.values(), strict=True)
        return np.dtype({"names": list(places), "formats": formats, "offsets": offsets, "itemsize": len(one)})
