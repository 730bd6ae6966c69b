"""N detached houses as arrays: two thermal nodes each, a heat pump, a thermostat, a tank of hot water, a household.

    C_air  dT_air/dt  = UA (T_out − T_air) + H (T_mass − T_air) + heat        the air, with what stands in it
    C_mass dT_mass/dt =                      H (T_air − T_mass)               floors, walls, roof
    dD/dt             = drawn + lost − from the pump                          what the tank lacks, J

Over a step in which T_out and heat are constant the two nodes have an exact solution, which is what is used: the length
of a step, five minutes at most, is how often thermostat and household decide, not a matter of accuracy.

Each house lives at its own times. Everything is a function of the seed and the house alone (see noise), so that houses
can be simulated in any company.

Two nodes: the least that tells air from walls (Bacher and Madsen, "Identifying suitable models for the heat dynamics of
buildings", Energy and Buildings 43, 2011). Mass and its coupling: ISO 13790:2008, table 12 and 12.2.2: 110 to 165 kJ/K
a m² of floor, 2.5 m² of surface a m² of floor at 9.1 W/m²K. Loss 105 to 247 W/K, household 3,000 to 5,000 and hot water
2,500 to 4,500 kWh a year are plausible ranges for Swedish detached houses, not fitted. What comes out can be held
against statistics: in 2010 houses in Västerbotten used 1.27 times what those in Blekinge did, by the Swedish Energy
Agency; here SE1 uses 1.4 times what SE4 does, since a pump's COP falls as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware_sim import heating
from firmware_sim.noise import Floats, Ints, Keys, bits, normal, uniform
from firmware_sim.weather import DAY, Outdoor

Bools = npt.NDArray[np.bool_]

STEP = 300.0  # seconds at most: a compressor is not started and stopped more often
HYSTERESIS = 0.3  # K to either side
SLOTS = 288  # of a day, five minutes each
LOCAL = 3600.0  # normal time, s before UTC; summer time is for people, and the model has none
NIGHT = (22.0, 5.5)  # hours, local
PEOPLE = 150.0  # W of heat
OPENS = 24.0  # °C indoors: somebody opens a window
AIRING = 150.0  # W/K while one is open
WARMS = 0.8  # of what the household uses: the rest goes down the drain and out of the door
JOULES_PER_KWH = 3.6e6
SECONDS_PER_YEAR = 8766 * 3600.0
DESIGN = np.array([-28.0, -25.0, -18.0, -14.0])  # °C in SE1 to SE4: the cold that pumps are chosen for
TANK_ON = 8e6  # J that the tank lacks when the pump turns to it: a quarter of 180 litres
DRAW = (2e6, 8e6)  # J of one draw: washing hands to a long shower
WASHING = (500.0, 2500.0)  # W of one large appliance

_32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def _peak(hour: float, width: float) -> Floats:
    away = np.arange(SLOTS) * 24 / SLOTS - hour
    return np.exp(-((away / width) ** 2))


_HOURS = np.arange(SLOTS) * 24 / SLOTS
_IS_NIGHT = (NIGHT[0] <= _HOURS) | (NIGHT[1] > _HOURS)
_LIGHTS = 1 + 0.6 * _peak(7.5, 1.0) + _peak(19.0, 2.0)
_AT_WORK = 0.05 + 0.2 * (_peak(7.5, 1.0) + _peak(18.5, 2.0))  # share of time in which a large appliance runs
_BATHING = 0.3 + 3 * _peak(7.2, 1.0) + 2 * _peak(20.0, 1.5)
_RARELY_AT_WORK = 2.0**-32 / _AT_WORK
_RARELY_BATHING = 2.0**-32 * (sum(DRAW) / 2) * _BATHING.mean() / _BATHING


@dataclass(slots=True)
class Houses:
    """What houses are, and how they are now: arrays of shape (n,), float64 but for `area`, `heating` and `filling`.

    loss UA, coupling H: W/K · air, mass: J/K · rated, base, water: W · target, indoor, mantle: °C · set_back: K
    lacking, joules: J; `joules` is the counter, since it was set up
    """

    keys: Keys
    area: Ints
    loss: Floats = field(init=False)
    coupling: Floats = field(init=False)
    air: Floats = field(init=False)
    mass: Floats = field(init=False)
    rated: Floats = field(init=False)
    base: Floats = field(init=False)
    water: Floats = field(init=False)
    tank_loss: Floats = field(init=False)
    target: Floats = field(init=False)
    set_back: Floats = field(init=False)
    quality: Floats = field(init=False)
    shelter: Floats = field(init=False)
    indoor: Floats = field(init=False)
    mantle: Floats = field(init=False)
    lacking: Floats = field(init=False)
    joules: Floats = field(init=False)
    heating: Bools = field(init=False)
    filling: Bools = field(init=False)
    _steps: int = 0
    _solved: tuple[float, tuple[Floats, ...]] | None = None

    def __post_init__(self) -> None:
        keys, yearly = self.keys, JOULES_PER_KWH / SECONDS_PER_YEAR
        floor = uniform(keys, "floor", low=95, high=190)  # m²
        self.loss = floor * uniform(keys, "loss", low=1.1, high=1.3)
        self.coupling = floor * 2.5 * 9.1
        self.mass = floor * uniform(keys, "mass", low=110e3, high=165e3)
        self.air = floor * uniform(keys, "air", low=15e3, high=25e3)  # furniture holds most of it
        self.target = uniform(keys, "target", low=19.5, high=22.0)
        saves = uniform(keys, "saves") < 0.6  # noqa: PLR2004 - of the households
        self.set_back = saves * uniform(keys, "set back", low=1.0, high=2.5)
        self.rated = np.clip(0.65 * self.loss * (21 - DESIGN[self.area]), 4000, 9000)
        self.quality = uniform(keys, "quality", low=0.9, high=1.1)  # of the pump, beside the curve
        self.base = uniform(keys, "base", low=175, high=365)
        self.water = uniform(keys, "water", low=2500, high=4500) * yearly
        self.tank_loss = uniform(keys, "tank", low=40, high=80)
        self.shelter = normal(keys, "shelter")  # K: valley, wood, town
        self.indoor = self.target + uniform(keys, "indoor", low=-HYSTERESIS, high=HYSTERESIS)
        self.mantle = self.indoor.copy()
        self.lacking = uniform(keys, "lacking", high=TANK_ON)
        self.joules = uniform(keys, "counter", high=60_000) * JOULES_PER_KWH
        self.heating = np.zeros(len(keys), dtype=np.bool_)
        self.filling = self.heating.copy()

    def outdoor(self, weather: Outdoor, times: Floats) -> Floats:
        """°C at each house, at its own time (Unix s)."""
        return weather.at(self.area, times) + self.shelter

    def aim(self, times: Floats) -> Floats:
        """What the thermostat is set to at these times, °C."""
        return self.target - self.set_back * _IS_NIGHT[_slot(times)]

    def step(self, times: Floats, seconds: float, outdoor: Floats, powered: Bools | None = None) -> Flows:
        """Live for `seconds`, at most STEP, from `times` on; `powered`: who has electricity, None: everybody."""
        on = np.float64(1) if powered is None else powered.astype(np.float64)
        slot = _slot(times)
        household, drawn = self._household(slot, seconds)
        household *= on
        pumped, helped, stored = self._heat(slot, seconds, outdoor, on)
        space = pumped + helped + WARMS * household + PEOPLE + self.tank_loss
        space -= AIRING * (self.indoor > OPENS) * np.maximum(self.indoor - outdoor, 0)
        self._warm(outdoor, space, seconds)
        self.lacking += drawn + (self.tank_loss - stored) * seconds
        power = household + helped + pumped / (self.quality * heating.cop(outdoor, heating.flow(outdoor)))
        power += stored / (self.quality * heating.cop(outdoor, heating.TANK_FLOW))
        self.joules += power * seconds
        self._steps += 1
        return Flows(power=power, space=space, stored=stored, drawn=drawn)

    def _household(self, slot: Ints, seconds: float) -> tuple[Floats, Floats]:
        """Electricity of lights and appliances, W, and heat of the water drawn, J."""
        chance = bits(self.keys, "life", self._steps)
        work = (chance >> _32) * _RARELY_AT_WORK[slot]  # below 1: one runs, and the number is again uniform
        household = self.base * _LIGHTS[slot] + (work < 1) * (WASHING[0] + (WASHING[1] - WASHING[0]) * work)
        bath = (chance & _LOW) * _RARELY_BATHING[slot] / (self.water * seconds)
        drawn = (bath < 1) * (DRAW[0] + (DRAW[1] - DRAW[0]) * bath)
        return household, drawn

    def _heat(
        self, slot: Ints, seconds: float, outdoor: Floats, on: Floats | np.float64
    ) -> tuple[Floats, Floats, Floats]:
        """W into the rooms from the pump and from the electric heater, and from the pump into the tank.

        The tank comes first. The heater gives what the pump then lacks, and only while it is too cold indoors.
        """
        aim = self.target - self.set_back * _IS_NIGHT[slot]
        below = aim - self.indoor
        self.heating = (below > HYSTERESIS) | (self.heating & (below >= -HYSTERESIS))
        self.filling = (self.lacking > TANK_ON) | (self.filling & (self.lacking > 0))
        most = heating.capacity(self.rated, outdoor) * on
        stored: Floats = np.minimum(np.maximum(self.lacking * (1 / seconds), 0), most) * self.filling
        share = np.minimum(np.maximum((below + HYSTERESIS) * (0.5 / HYSTERESIS), heating.LEAST_SHARE), 1)
        pumped: Floats = self.heating * share * (most - stored)
        lacks: Floats = np.maximum(1.1 * self.loss * (aim - outdoor) - (most - stored), 0)
        helped: Floats = lacks * on * (below > HYSTERESIS)
        return pumped, helped, stored

    def _warm(self, outdoor: Floats, space: Floats, seconds: float) -> None:
        """Both nodes after `seconds` with constant input: they near the point where nothing would change any more."""
        if self._solved is None or self._solved[0] != seconds:
            self._solved = seconds, self._decay(seconds)
        aa, am, ma, mm = self._solved[1]
        settled = outdoor + space / self.loss
        air, mass = self.indoor - settled, self.mantle - settled
        self.indoor = settled + aa * air + am * mass
        self.mantle = settled + ma * air + mm * mass

    def _decay(self, seconds: float) -> tuple[Floats, Floats, Floats, Floats]:
        """exp(M t) of M = [[-(UA + H)/C_air, H/C_air], [H/C_mass, -H/C_mass]], whose eigenvalues are real and below 0.

        exp(M t) = e^(s t) (cosh(q t) I + sinh(q t)/q (M − s I)), s half the trace, q² = s² − det.
        """
        a, b = -(self.loss + self.coupling) / self.air, self.coupling / self.air
        c, d = self.coupling / self.mass, -self.coupling / self.mass
        s = (a + d) / 2
        q = np.sqrt(s * s - (a * d - b * c))
        grow, fade = np.exp((s + q) * seconds), np.exp((s - q) * seconds)  # apart: cosh alone would overflow
        cosh, sinh = (grow + fade) / 2, (grow - fade) / (2 * q)
        return cosh + sinh * (a - s), sinh * b, sinh * c, cosh + sinh * (d - s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """What went where during one step, shape (n,) each.

    power   W, electricity: what the counter counts
    space   W, all heat into the air, less what an open window lets out
    stored  W, heat from the pump into the tank
    drawn   J, heat that left with hot water
    """

    power: Floats
    space: Floats
    stored: Floats
    drawn: Floats


def _slot(times: Floats) -> Ints:
    return ((times + LOCAL) % DAY * (SLOTS / DAY)).astype(np.int64)


def steps_of(interval: float) -> int:
    """Into how many steps an interval is cut."""
    return max(1, math.ceil(interval / STEP))
