"""What the fleet writes, the gateway reads: every generation says the same, and it is what the device meant.

Foreign firmware is read by the mappings that are shipped.
"""

from __future__ import annotations

import math

import pytest

from firmware_sim.fleet import Firmware, Home
from firmware_sim.payloads import message
from gateway.model.clear import Refusals
from gateway.pipeline.decode import Decoder
from gateway.policy.load import load_policy
from gateway.runtime.config import resource
from gateway.runtime.mappings import load_mappings

MOMENT = 1_767_225_600_000  # Unix ms, whole seconds: not all generations know more
SAID = {"temperature": 21.37, "target_temperature": 21.0, "humidity": 40.1, "power": 1250.0, "energy": 12345.678}
DIGITS = {"temperature": 2, "target_temperature": 2, "humidity": 1, "power": 0, "energy": 3}


@pytest.mark.parametrize("firmware", list(Firmware))
def test_every_generation_is_decoded_to_the_same_readings(firmware: Firmware) -> None:
    home = Home(controller="demo", customer="K1", device="X1", postal_code="11122", firmware=firmware, phase=0)
    said = message(home, MOMENT, [(quantity, f"{value:.{DIGITS[quantity]}f}") for quantity, value in SAID.items()])
    policy, refusals = load_policy(resource("policy.toml")), Refusals()
    numbers = {quantity.name: quantity.number for quantity in policy.quantities}
    files = [resource(f"mappings/{name}.toml") for name in ("zigbee2mqtt", "tasmota")]
    decoder = Decoder(
        policy.quantities, 65_536, load_mappings(files, policy, ["glomska/{controller}/{device}/readings"])
    )
    found = decoder([said], MOMENT * 1_000_000, refusals)
    assert list(found.time) == [MOMENT * 1_000_000]
    assert bool(found.untimed) == (firmware is Firmware.UNTIMED)
    row = found.values[0].tolist()
    meant = SAID if firmware is not Firmware.TASMOTA else {name: SAID[name] for name in SAID if "target" not in name}
    assert {name: row[number] for name, number in numbers.items() if not math.isnan(row[number])} == meant
