"""Numbers that are functions of seed, name and moment: even, distinct, and the same in any company."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim.noise import keys_of, normal, uniform

NAMES = [f"home {number}" for number in range(20_000)]


def test_a_home_draws_the_same_alone_and_among_others() -> None:
    together, alone = keys_of(7, NAMES), keys_of(7, NAMES[123:124])
    for moment in (0, 1, 10**9):
        assert uniform(together, "life", moment)[123] == uniform(alone, "life", moment)[0]
        assert normal(together, "life", moment)[123] == normal(alone, "life", moment)[0]


def test_one_moment_for_all_is_the_same_as_that_moment_for_each() -> None:
    keys = keys_of(1, NAMES[:50])
    np.testing.assert_array_equal(uniform(keys, "cut", 20_000), uniform(keys, "cut", np.full(50, 20_000)))


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_uniform_numbers_fill_their_interval_evenly(moment: int) -> None:
    drawn = uniform(keys_of(1, NAMES), "floor", moment, low=2, high=4)
    assert drawn.min() >= 2
    assert drawn.max() < 4
    counts, _ = np.histogram(drawn, bins=20, range=(2, 4))
    assert np.abs(counts - 1000).max() < 5 * 1000**0.5


def test_normal_numbers_have_mean_0_and_deviation_1_and_end() -> None:
    drawn = normal(keys_of(1, NAMES), "offset")
    assert abs(drawn.mean()) < 5 / len(NAMES) ** 0.5
    assert drawn.std() == pytest.approx(1, abs=0.03)
    assert np.abs(drawn).max() < 3.5


def test_seeds_things_and_moments_draw_independently() -> None:
    keys = keys_of(1, NAMES)
    base = uniform(keys, "floor", 5)
    for other in (uniform(keys_of(2, NAMES), "floor", 5), uniform(keys, "loss", 5), uniform(keys, "floor", 6)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / len(NAMES) ** 0.5
