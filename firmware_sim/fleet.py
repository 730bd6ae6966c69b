"""Who publishes, and what: homes with one device each, and the messages on their way to a broker.

Identities are drawn from the seed alone, meters and thermostats from separate ranges, so that both fleets can be
enrolled side by side. They look like those of real installations and belong to nobody.
"""

from __future__ import annotations

import enum
import random

import msgspec

POSTAL_CODES = (  # one or two of each larger Swedish town: all four price areas, most people in SE3
    *("97231", "98131", "90326", "93131"),  # Luleå, Kiruna, Umeå, Skellefteå
    *("85230", "83130", "89133", "87131"),  # Sundsvall, Östersund, Örnsköldsvik, Härnösand
    *("11122", "11853", "41103", "75310", "70210", "72211", "58222", "65224", "79171", "50330", "55315", "15133"),
    *("21119", "22222", "25220", "39230", "35230", "37132"),  # Malmö, Lund, Helsingborg, Kalmar, Växjö, Karlskrona
)

CUSTOMERS = {"EM": range(1_000_000, 5_000_000), "TH": range(5_000_000, 9_000_000)}


class Kind(enum.StrEnum):
    """What a message is in the books: distinct messages are the valid and the malformed ones."""

    VALID = "valid"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"


class Firmware(enum.Enum):
    """Generations in the field; they differ in how they write a message (see `payloads`)."""

    MILLIS = 1
    UTC = 2
    OFFSET = 3
    SENML = 4


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One PUBLISH. `time` is the event time in Unix ms as the device measured it, whatever the payload says.

    `fault` names what is wrong with a malformed message, `reason` how a gateway has to refuse it; both are empty else.
    """

    topic: str
    payload: bytes
    time: int
    content_type: str | None = None
    kind: Kind = Kind.VALID
    fault: str = ""
    reason: str = ""


class Home(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A household with one device. `phase`, 0 to 1, is where in each interval the device reports."""

    controller: str
    customer: str
    device: str
    postal_code: str
    firmware: Firmware
    phase: float

    @property
    def topic(self) -> str:
        """Where its device publishes."""
        return f"glomska/{self.controller}/{self.device}/readings"


def meters(count: int, *, seed: int, controller: str = "demo", senml: float = 0.0) -> tuple[Home, ...]:
    """Homes with an electricity meter; a share `senml` of them speaks SenML."""
    return _homes("EM", seed=seed, count=count, controller=controller, senml=senml)


def thermostats(count: int, *, seed: int, controller: str = "demo", senml: float = 0.0) -> tuple[Home, ...]:
    """Homes with a thermostat that counts energy; a share `senml` of them speaks SenML."""
    return _homes("TH", seed=seed, count=count, controller=controller, senml=senml)


def _homes(model: str, *, seed: int, count: int, controller: str, senml: float) -> tuple[Home, ...]:
    rng = random.Random(f"{model}/{seed}")
    customers = rng.sample(CUSTOMERS[model], count)
    numbers = rng.sample(range(10_000_000), count)
    return tuple(
        Home(
            controller=controller,
            customer=f"K{customer}",
            device=f"{model}{generation.value}-{rng.randrange(18, 26)}{rng.randrange(1, 53):02}-{number:07}",
            postal_code=rng.choice(POSTAL_CODES),
            firmware=generation,
            phase=rng.random(),
        )
        for customer, number in zip(customers, numbers, strict=True)
        for generation in (_generation(rng, senml),)
    )


def _generation(rng: random.Random, senml: float) -> Firmware:
    if rng.random() < senml:
        return Firmware.SENML
    return rng.choice((Firmware.MILLIS, Firmware.UTC, Firmware.OFFSET))
