"""How a device's speed is told from few measurements."""

import pytest

from dualfair.planning.measurement import grown, quadratic


def test_the_largest_sample_that_fits_grows_by_four():
    assert grown(lambda n: n, 4, 1000, 100.0) == 64
    assert grown(lambda n: n, 4, 30, 100.0) == 30
    assert grown(lambda n: 1e9, 4, 30, 100.0) == 4


def test_a_quadratic_goes_through_both_points():
    assert quadratic((10, 2 * 10 + 3 * 100), (20, 2 * 20 + 3 * 400)) == pytest.approx((2, 3))
    # Fewer seconds an image for more of them: noise, no negative square.
    assert quadratic((10, 100), (20, 150)) == pytest.approx((7.5, 0))
