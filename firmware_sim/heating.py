"""What makes heat: an air-source heat pump with its curves, and the electric heater that helps it.

    COP       6.81 − 0.121 ΔT + 0.00063 ΔT², ΔT from outdoor air to the water that leaves the pump, held to 15…60 K
    capacity  rated at 7 °C outdoors, 1.8 % less for each K colder, as the air gives less
    flow      35 °C at 10 °C outdoors, half a K more for each K colder: a heating curve for radiators; tank: 55 °C

Source of the COP: Staffell, Brett, Brandon, Hawkes, "A review of domestic heat pumps", Energy & Environmental Science 5
(2012), regression over manufacturers' data, valid in that interval. Curve and capacity: typical of product data sheets.
"""

from __future__ import annotations

import numpy as np

from firmware_sim.noise import Floats

TANK_FLOW = 55.0  # °C
RATED_AT = 7.0  # °C outdoors
LIFT = (15.0, 60.0)  # K, where the regression holds
LEAST_SHARE = 0.3  # of its capacity: a compressor does not turn more slowly


def cop(outdoor: Floats, flow: Floats | float) -> Floats:
    """Heat over electricity, 1.8 to 5.1; temperatures in °C."""
    lift = np.minimum(np.maximum(flow - outdoor, LIFT[0]), LIFT[1])
    return 6.81 - 0.121 * lift + 0.00063 * lift * lift


def flow(outdoor: Floats) -> Floats:
    """Temperature of the water that goes to the radiators, °C."""
    return np.minimum(np.maximum(40 - 0.5 * outdoor, 28), TANK_FLOW)


def capacity(rated: Floats, outdoor: Floats) -> Floats:
    """The most heat that a pump of `rated` W gives, W."""
    return rated * np.minimum(np.maximum(1 + 0.018 * (outdoor - RATED_AT), 0.4), 1.15)
