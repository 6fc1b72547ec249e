"""Outlines: closed shapes about their centre, no larger than they are asked to be."""

import numpy as np
import pytest

from jobs.quickstart.outlines import OUTLINES

RADIUS = 30.0


def outside(make, seed):
    """Return how far outside a shape the points of a grid about its centre lie."""
    y, x = np.mgrid[-50:51, -50:51].astype(np.float32)
    return make(np.random.default_rng(seed), RADIUS)(x, y), np.hypot(x, y)


@pytest.mark.parametrize("make", OUTLINES)
def test_the_centre_is_inside_and_what_is_beyond_the_radius_outside(make):
    for seed in range(20):
        found, distance = outside(make, seed)

        assert found[50, 50] < 0
        assert (found[distance > RADIUS * 1.25] > 0).all()


@pytest.mark.parametrize("make", OUTLINES)
def test_each_shape_covers_a_fair_share_of_its_circle(make):
    shares = [
        (found < 0).sum() / (distance < RADIUS).sum()
        for found, distance in (outside(make, seed) for seed in range(20))
    ]

    assert min(shares) > 0.3
    assert max(shares) < 1.05


@pytest.mark.parametrize("make", OUTLINES)
def test_a_seed_gives_the_same_shape_and_another_another(make):
    first, again, other = (outside(make, seed)[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
