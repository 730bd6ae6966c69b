"""Rows to sealed points: numbers packed at the declared precision and sealed under their series' key.

All sealed quantities of a row go together into one string field; each `clear` quantity is a numeric field beside it.
Rows with the same set of quantities are packed and encoded together, since a fleet sends few different sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.keys.handle import encode_values
from gateway.model.clear import Values, pack, pack_plan
from gateway.model.sealed import SealedPoint, clear_field, sealed_field
from gateway.pipeline.pseudonymise import Nameless
from gateway.policy.rules import Mode, Policy, Quantity


@dataclass(frozen=True, slots=True)
class _Shape:
    """How rows with one set of quantities are stored."""

    sealed: list[int]
    scales: Values
    dtype: np.dtype[np.void]
    field: str
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
        masks = set(rows.mask)
        for mask in masks:
            chosen = rows if len(masks) == 1 else _having(rows, mask)
            points += self._points(chosen, self._shape(mask))
            owners += chosen.message

    def _points(self, rows: Nameless, shape: _Shape) -> list[SealedPoint]:
        revised = any(rows.revision)
        fields = [sealed_field(shape.mask, r) for r in rows.revision] if revised else [shape.field] * len(rows.time)
        values = self._sealed(rows, shape, fields) if shape.sealed else [""] * len(rows.time)
        if shape.clear:
            clear = _clear(rows, shape.clear)
            names = fields if shape.sealed else [""] * len(rows.time)
            return [
                SealedPoint(key.series, at, name, value, beside)
                for key, at, name, value, beside in zip(rows.series, rows.time, names, values, clear, strict=True)
            ]
        return [
            SealedPoint(key.series, at, name, value)
            for key, at, name, value in zip(rows.series, rows.time, fields, values, strict=True)
        ]

    def _sealed(self, rows: Nameless, shape: _Shape, fields: list[str]) -> list[str]:
        packed = pack(rows.values[:, shape.sealed], shape.scales, shape.dtype)
        size = shape.dtype.itemsize
        return encode_values(
            [
                key.seal(name, at, revision, packed[start : start + size])
                for key, name, at, revision, start in zip(
                    rows.series, fields, rows.time, rows.revision, range(0, len(packed), size), strict=True
                )
            ],
            schema=self._schema,
        )

    def _shape(self, mask: int) -> _Shape:
        shape = self._shapes.get(mask)
        if shape is None:
            held = [q for q in self._quantities if mask >> q.number & 1]
            sealed = [q for q in held if q.mode is Mode.SEALED]
            scales, dtype = pack_plan(tuple(q.decimals for q in sealed), tuple(q.wide for q in sealed))
            bits = sum(1 << q.number for q in sealed)
            clear = [q for q in held if q.mode is Mode.CLEAR]
            shape = _Shape([q.number for q in sealed], scales, dtype, sealed_field(bits, 0), bits, clear)
            if len(self._shapes) < _SHAPES_KEPT:
                self._shapes[mask] = shape
        return shape


_SHAPES_KEPT = 4096  # a device decides which of its quantities it sends, and must not decide how much we remember


def _having(rows: Nameless, mask: int) -> Nameless:
    chosen = [row for row, held in enumerate(rows.mask) if held == mask]
    return Nameless(
        [rows.message[row] for row in chosen],
        [rows.time[row] for row in chosen],
        [rows.revision[row] for row in chosen],
        [mask] * len(chosen),
        [rows.series[row] for row in chosen],
        rows.values[chosen],
    )


def _clear(rows: Nameless, quantities: list[Quantity]) -> list[tuple[tuple[str, float], ...]]:
    """The numeric fields of each row, rounded to the declared precision."""
    scales = np.array([10.0**q.decimals for q in quantities])
    rounded = np.rint(rows.values[:, [q.number for q in quantities]] * scales) / scales
    return [
        tuple((clear_field(q.name, revision), value) for q, value in zip(quantities, values, strict=True))
        for revision, values in zip(rows.revision, rounded.tolist(), strict=True)
    ]
