"""Chance without a state: what happens to a home at a moment is a function of the seed, the home and the moment.

So a home's bytes do not depend on which other homes are simulated beside it, nor on how many at once, nor on which
process does it; and N homes cost a few array operations, not N generators.

    keys = keys_of(seed, customers)
    uniform(keys, "floor area")              # the same number each time it is asked for
    uniform(keys, "life", moment=step)       # another one in each step

Source: the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014)
over 64-bit hashes of seed and name, of what is drawn, and of the moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: spreads moments that follow each other
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_LOW = np.uint64(0xFFFF)
_16, _32, _48 = np.uint64(16), np.uint64(32), np.uint64(48)


def keys_of(seed: int, names: Iterable[str]) -> Keys:
    """One key a name, of this seed; shape (number of names,)."""
    return np.array([_digest(f"{seed}/{name}") for name in names], dtype=np.uint64)


def bits(keys: Keys, what: str, moment: int | Ints = 0) -> Keys:
    """64 random bits for each key, of `what` at `moment`: one for all, or one for each key."""
    if isinstance(moment, int):
        mixed = keys ^ np.uint64((_hash(what) + moment * _GOLDEN) & _MASK)
    else:
        mixed = keys ^ (np.uint64(_hash(what)) + moment.astype(np.uint64) * np.uint64(_GOLDEN))
    mixed ^= mixed >> _30
    mixed *= _FIRST
    mixed ^= mixed >> _27
    mixed *= _SECOND
    mixed ^= mixed >> _31
    return mixed


def uniform(keys: Keys, what: str, moment: int | Ints = 0, *, low: float = 0.0, high: float = 1.0) -> Floats:
    """A number in [low, high) for each key."""
    part: Floats = (bits(keys, what, moment) >> _11) * np.float64(2.0**-53)
    return low + (high - low) * part


def normal(keys: Keys, what: str, moment: int | Ints = 0) -> Floats:
    """Mean 0, standard deviation 1, for each key: the sum of four uniform numbers, so never beyond ±3.5."""
    drawn = bits(keys, what, moment)
    total = (drawn & _LOW) + (drawn >> _16 & _LOW) + (drawn >> _32 & _LOW) + (drawn >> _48)
    spread: Floats = (total * np.float64(2.0**-16) - (2 - 2.0**-15)) * 3**0.5
    return spread


@cache
def _hash(what: str) -> int:
    return _digest(what)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
