"""Who publishes, and what: homes with one device each, and the messages on their way to a broker.

Identities are drawn from the seed alone, meters and thermostats from separate ranges, so that both fleets can be
enrolled side by side. They look like those of real installations and belong to nobody.

A hub carries several homes, of a row of houses or a stairwell: one radio, one uplink, one clock, one fuse. Each home
keeps a device topic of its own, because it is another customer's; its device is the hub's serial number and a channel.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping, Sequence

import msgspec

from firmware_sim.places import POSTAL_CODES

CUSTOMERS = {"EM": range(1_000_000, 5_000_000), "TH": range(5_000_000, 9_000_000)}


class Kind(enum.StrEnum):
    """What a message is in the books: distinct messages are the valid, the untimed and the malformed ones."""

    VALID = "valid"
    UNTIMED = "untimed"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"


class Firmware(enum.StrEnum):
    """Generations in the field; they differ in how they write a message (see `payloads`)."""

    MILLIS = "millis"
    UTC = "utc"
    OFFSET = "offset"
    SENML = "senml"
    UNTIMED = "untimed"
    CBOR = "cbor"
    SENML_CBOR = "senml_cbor"
    ZIGBEE2MQTT = "zigbee2mqtt"
    TASMOTA = "tasmota"


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One PUBLISH.

    `time` is the event time in Unix ms as the device's clock had it, whatever the payload says; where it holds several
    readings, that of the newest. `sender` is who has the uplink: the device, or the hub before it. `fault` names what
    is wrong with a malformed message, `reason` how a gateway has to refuse it; both are empty else.
    """

    topic: str
    payload: bytes
    time: int
    sender: str = ""
    content_type: str | None = None
    kind: Kind = Kind.VALID
    fault: str = ""
    reason: str = ""


class Home(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A household with one device.

    `phase`, 0 to 1, is where in each interval the device reports; `hub` its hub's serial number, if it is behind one.
    """

    controller: str
    customer: str
    device: str
    postal_code: str
    firmware: Firmware
    phase: float
    hub: str = ""

    @property
    def topic(self) -> str:
        """Where its device publishes. Foreign firmware names no controller: the gateway's mapping has to."""
        if self.firmware is Firmware.ZIGBEE2MQTT:
            return f"zigbee2mqtt/{self.device}"
        if self.firmware is Firmware.TASMOTA:
            return f"tele/{self.device}/SENSOR"
        return f"glomska/{self.controller}/{self.device}/readings"

    @property
    def client(self) -> str:
        """What has the uplink, the clock and the fuse: its hub, or its device."""
        return f"{self.controller}/{self.hub or self.device}"


Shares = Mapping[Firmware, float]
"""Which part of the devices runs a firmware; the rest is MILLIS, UTC and OFFSET alike."""

FOREIGN = frozenset({Firmware.ZIGBEE2MQTT, Firmware.TASMOTA})
PLAIN = (Firmware.MILLIS, Firmware.UTC, Firmware.OFFSET)
GENERATIONS = {Firmware.MILLIS: 1, Firmware.UTC: 2, Firmware.OFFSET: 3}  # in serial numbers; all others are the fourth
HUB_HOMES = (2, 12)  # how many homes one carries


def meters(count: int, *, seed: int, controller: str = "demo", senml: float = 0.0) -> tuple[Home, ...]:
    """Homes with an electricity meter; a share `senml` of them speaks SenML."""
    return _homes("EM", seed=seed, count=count, controller=controller, shares={Firmware.SENML: senml})


def thermostats(
    count: int,
    *,
    seed: int,
    controller: str = "demo",
    senml: float = 0.0,
    shares: Shares | None = None,
    hubs: float = 0.0,
) -> tuple[Home, ...]:
    """Homes with a thermostat that counts energy; a share `senml` of them speaks SenML, and `hubs` are behind hubs.

    Raises ValueError when `senml` and `shares` are more than 1 together.
    """
    shares = {Firmware.SENML: senml, **(shares or {})}
    if sum(shares.values()) > 1 + 1e-9:  # ten tenths are more than 1
        raise ValueError("the shares of firmware are more than 1 together")
    homes = _homes("TH", seed=seed, count=count, controller=controller, shares=shares)
    return _behind_hubs(homes, hubs, random.Random(f"hubs/{seed}"))


def _homes(model: str, *, seed: int, count: int, controller: str, shares: Shares) -> tuple[Home, ...]:
    rng = random.Random(f"{model}/{seed}")
    customers = rng.sample(CUSTOMERS[model], count)
    numbers = rng.sample(range(10_000_000), count)
    return tuple(
        Home(
            controller=controller,
            customer=f"K{customer}",
            device=_serial(model, firmware, rng, number),
            postal_code=rng.choice(POSTAL_CODES),
            firmware=firmware,
            phase=rng.random(),
        )
        for customer, number in zip(customers, numbers, strict=True)
        for firmware in (_firmware(rng, shares),)
    )


def _serial(model: str, firmware: Firmware, rng: random.Random, number: int) -> str:
    return f"{model}{GENERATIONS.get(firmware, 4)}-{rng.randrange(18, 26)}{rng.randrange(1, 53):02}-{number:07}"


def _firmware(rng: random.Random, shares: Shares) -> Firmware:
    place = rng.random()
    for firmware, share in shares.items():
        if place < share:
            return firmware
        place -= share
    return rng.choice(PLAIN)


def _behind_hubs(homes: Sequence[Home], share: float, rng: random.Random) -> tuple[Home, ...]:
    """Neighbours become homes of one hub; what the hub is, they all have: firmware, place, the moment of reporting."""
    mean = sum(HUB_HOMES) / 2
    begin = share / (share + mean * (1 - share)) if share else 0.0  # so that `share` of the homes, not of the draws
    found: list[Home] = []
    while len(found) < len(homes):
        first = homes[len(found)]
        if rng.random() >= begin:
            found.append(first)
            continue
        hub = "HB" + first.device[2:]
        row = homes[len(found) : len(found) + rng.randint(*HUB_HOMES)]
        found += [
            msgspec.structs.replace(
                home,
                device=f"{hub}-{channel:02}",
                postal_code=first.postal_code,
                firmware=first.firmware,
                phase=first.phase,
                hub=hub,
            )
            for channel, home in enumerate(row, start=1)
        ]
    return tuple(found)
