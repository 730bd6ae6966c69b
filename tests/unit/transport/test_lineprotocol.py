"""The exact lines. What hostile strings do is attack 28."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import Reason, SealedPoint, Series
from gateway.transport.lineprotocol import TIME_MAX, render

P = Pseudonym("abcdefghijklmnopqrstuvwxyz")
HOME = Series("telemetry", P, "SE3", KeyId(b"k" * 16))


def test_one_line_a_point_in_the_order_of_the_points() -> None:
    elsewhere = Series("billing", P, "Malmö, södra = 4", KeyId(b""))
    lines, refused = render(
        [
            SealedPoint(HOME, 17_900_000_001, "s_1d", "AQEx-_", (("battery", 80.0), ("valve_r2", 21.005))),
            SealedPoint(elsewhere, 2, "s_2_r1", "AQEy"),
            SealedPoint(HOME, -3, "", "", (("battery", 1e300),)),
        ]
    )
    assert lines.decode().split("\n") == [
        'telemetry,area=SE3,series=abcdefghijklmnopqrstuvwxyz s_1d="AQEx-_",battery=80.0,valve_r2=21.005 17900000001',
        r'billing,area=Malmö\,\ södra\ \=\ 4,series=abcdefghijklmnopqrstuvwxyz s_2_r1="AQEy" 2',
        "telemetry,area=SE3,series=abcdefghijklmnopqrstuvwxyz battery=1e+300 -3",
    ]
    assert refused == {}


def test_an_area_that_is_not_known_is_left_out() -> None:
    lines, _ = render([SealedPoint(Series("telemetry", P, "", KeyId(b"")), 1, "s_1", "AQEx")])
    assert lines == b'telemetry,series=abcdefghijklmnopqrstuvwxyz s_1="AQEx" 1'


@pytest.mark.parametrize("value", [80, np.float64(80), np.int64(80), 80.0])
def test_every_number_is_written_as_a_float(value: float) -> None:
    lines, _ = render([SealedPoint(HOME, 1, "", "", (("battery", value),))])
    assert lines.endswith(b" battery=80.0 1")


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (SealedPoint(HOME, 1, "s_1", ""), Reason.STORE),
        (SealedPoint(HOME, TIME_MAX + 1, "s_1", "AQEx"), Reason.STORE),
        (SealedPoint(HOME, -TIME_MAX - 1, "", "", (("battery", 1.0),)), Reason.STORE),
        (SealedPoint(HOME, 1, "", "", (("battery", float("nan")),)), Reason.NON_FINITE),
        (SealedPoint(HOME, 1, "s_1", "AQEx", (("battery", float("-inf")),)), Reason.NON_FINITE),
        (SealedPoint(HOME, 1, "battery", "AQEx"), Reason.STORE),
        (SealedPoint(HOME, 1, "", "", (("s_1", 1.0),)), Reason.STORE),
        (SealedPoint(HOME, 1, "", "", (("time", 1.0),)), Reason.STORE),
    ],
)
def test_a_point_that_cannot_be_written_is_refused_alone(point: SealedPoint, reason: Reason) -> None:
    good = SealedPoint(HOME, 1, "s_1", "AQEx")
    lines, refused = render([good, point, good])
    assert refused == {1: reason}
    assert lines == b"\n".join([render([good])[0]] * 2)


def test_nothing_gives_nothing() -> None:
    assert render([]) == (b"", {})


def test_many_points_are_written_in_parts_and_a_refused_one_keeps_its_place() -> None:
    points = [SealedPoint(HOME, time, "s_1", "AQEx") for time in range(4_500)]
    points[3_210] = SealedPoint(HOME, 3_210, "s_1", "")
    lines, refused = render(points)
    assert refused == {3_210: Reason.STORE}
    assert lines == b"\n".join(render([point])[0] for i, point in enumerate(points) if i not in refused)
    assert render(points[3_210:3_211] * 4_001) == (b"", dict.fromkeys(range(4_001), Reason.STORE))
