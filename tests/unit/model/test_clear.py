"""Packing: the decimal number that was published, at the declared precision, half to even."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.model.clear import pack, pack_plan, rounded_to, unpack


@given(value=st.decimals(-1_000_000, 1_000_000, places=6), decimals=st.integers(0, 4))
@example(value=Decimal("0.575"), decimals=2)  # as float64 product 57.49999999999999
@example(value=Decimal("4226.765"), decimals=2)  # as float64 product just above the tie
@example(value=Decimal("1.005"), decimals=2)
@example(value=Decimal("2.5"), decimals=0)
@example(value=Decimal("-2.5"), decimals=0)
@example(value=Decimal("999999.9995"), decimals=3)
@settings(deadline=None)
def test_the_decimal_that_was_published_is_rounded_half_to_even(value: Decimal, decimals: int) -> None:
    exact = int(value.scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))
    assert rounded_to(np.array([[float(value)]]), np.array([10.0**decimals]))[0, 0] == exact


@pytest.mark.parametrize("energy", [0.0, 12345.678, 999_999_999.999, 1_000_000_000.0])
def test_what_is_packed_is_unpacked(energy: float) -> None:
    scales, dtype = pack_plan((2, 3), (False, True))
    packed = pack(np.array([[-21.53, energy]]), scales, dtype)
    assert len(packed) == 12
    assert unpack(packed, scales, dtype).tolist() == [[-21.53, energy]]
