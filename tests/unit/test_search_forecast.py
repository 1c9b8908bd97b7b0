"""What more evaluations would add, where it is known how the hypervolume grows."""

import math

import pytest

from nas.search.forecast import foretold_gain


def test_growth_by_the_logarithm_goes_on_so():
    def volume(count):
        return 0.1 * math.log2(count)

    for more in (1, 16, 32, 50):
        expected = volume(32 + more) - volume(32)
        assert foretold_gain(volume(8), volume(16), volume(32), 32, more) == pytest.approx(expected)


def test_growth_that_slows_down_with_each_doubling_goes_on_so():
    def volume(doublings):
        return 0.5 * (1 - 0.6**doublings)

    args = (volume(3), volume(4), volume(5), 32)
    for k in (1, 2, 3):
        assert foretold_gain(*args, 32 * (2**k - 1)) == pytest.approx(volume(5 + k) - volume(5))


def test_growth_that_has_sped_up_is_not_taken_to_go_on_speeding_up():
    assert foretold_gain(0.1, 0.11, 0.2, 40, 40) == pytest.approx(0.09)
    assert foretold_gain(0.1, 0.1, 0.2, 40, 40) == pytest.approx(0.1)


def test_what_does_not_grow_adds_nothing_and_nothing_grows_beyond_the_whole():
    assert foretold_gain(0.1, 0.2, 0.2, 40, 4_000) == 0
    assert foretold_gain(0.3, 0.6, 0.9, 40, 40_000) == pytest.approx(0.1)
    assert foretold_gain(0.1, 0.2, 0.3, 40, 0) == 0
