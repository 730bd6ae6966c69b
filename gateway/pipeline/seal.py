"""Rows to sealed points: numbers packed at the declared precision and sealed under their series' key.

All sealed quantities of a row go together into one string field; each `clear` quantity is a numeric field beside it.
Rows with the same set of quantities and revision go through together, since a fleet sends few different ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.keys.handle import encode_values, seal_rows
from gateway.model.clear import Values, pack, pack_plan, rounded_to
from gateway.model.sealed import SealedPoint, clear_field, sealed_field
from gateway.pipeline.pseudonymise import Nameless
from gateway.policy.rules import Mode, Policy, Quantity

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Shape:
    """How rows with one set of quantities are stored."""

    sealed: list[int]
    scales: Values
    dtype: np.dtype[np.void]
    mask: int
    clear: list[Quantity]


class Sealer:
    """The policy's storage modes: compiled once, applied to each batch."""

    __slots__ = ("_quantities", "_schema", "_shapes")

    def __init__(self, policy: Policy) -> None:
        self._quantities = policy.quantities
        self._schema = policy.schema
        self._shapes: dict[int, _Shape] = {}

    def __call__(self, rows: Nameless, points: list[SealedPoint], owners: list[int]) -> None:
        """Append a point for each row to `points`, and the index of its arrival to `owners`."""
        for (mask, revision), chosen in _grouped(rows):
            points += self._points(chosen, self._shape(mask), revision)
            owners += chosen.message

    def _points(self, rows: Nameless, shape: _Shape, revision: int) -> list[SealedPoint]:
        field = sealed_field(shape.mask, revision) if shape.sealed else ""
        values = self._sealed(rows, shape, field, revision) if shape.sealed else [""] * len(rows.time)
        if shape.clear:
            return [
                SealedPoint(key.series, at, field, value, beside)
                for key, at, value, beside in zip(
                    rows.series, rows.time, values, _clear(rows, shape.clear, revision), strict=True
                )
            ]
        return [
            SealedPoint(key.series, at, field, value)
            for key, at, value in zip(rows.series, rows.time, values, strict=True)
        ]

    def _sealed(self, rows: Nameless, shape: _Shape, field: str, revision: int) -> list[str]:
        packed = pack(rows.values[:, shape.sealed], shape.scales, shape.dtype)
        return encode_values(seal_rows(rows.series, field, rows.time, revision, packed), schema=self._schema)

    def _shape(self, mask: int) -> _Shape:
        shape = self._shapes.get(mask)
        if shape is None:
            held = [q for q in self._quantities if mask >> q.number & 1]
            sealed = [q for q in held if q.mode is Mode.SEALED]
            scales, dtype = pack_plan(tuple(q.decimals for q in sealed), tuple(q.wide for q in sealed))
            bits = sum(1 << q.number for q in sealed)
            clear = [q for q in held if q.mode is Mode.CLEAR]
            shape = _Shape([q.number for q in sealed], scales, dtype, bits, clear)
            if len(self._shapes) < _SHAPES_KEPT:
                self._shapes[mask] = shape
        return shape


_SHAPES_KEPT = 4096  # a device decides which of its quantities it sends, and must not decide how much we remember


def _grouped(rows: Nameless) -> Iterator[tuple[_Place, Nameless]]:
    """Rows by (mask, revision), in one pass: how many of these there are, devices decide."""
    if len(set(rows.mask)) == len(set(rows.revision)) == 1:
        yield (rows.mask[0], rows.revision[0]), rows
        return
    groups: dict[_Place, list[int]] = {}
    for row, place in enumerate(zip(rows.mask, rows.revision, strict=True)):
        groups.setdefault(place, []).append(row)
    for (mask, revision), chosen in groups.items():
        yield (
            (mask, revision),
            Nameless(
                [rows.message[row] for row in chosen],
                [rows.time[row] for row in chosen],
                [revision] * len(chosen),
                [mask] * len(chosen),
                [rows.series[row] for row in chosen],
                rows.values[chosen],
            ),
        )


def _clear(rows: Nameless, quantities: list[Quantity], revision: int) -> list[tuple[tuple[str, float], ...]]:
    """The numeric fields of each row, rounded to the declared precision."""
    scales = np.array([10.0**q.decimals for q in quantities])
    rounded = rounded_to(rows.values[:, [q.number for q in quantities]], scales) / scales
    names = [clear_field(q.name, revision) for q in quantities]
    return [tuple(zip(names, values, strict=True)) for values in rounded.tolist()]
