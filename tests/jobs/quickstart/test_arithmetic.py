"""Drawing arithmetic: within its bounds, and the same for the same seed."""

import numpy as np
import pytest

from jobs.quickstart.arithmetic import below, between, direction, fraction, length, step


def test_a_pixel_is_inside_by_the_share_of_it_that_is():
    inside = np.array([-3.0, -0.5, 0.0, 0.25, 0.5, 7.0])

    assert step(inside).tolist() == [0, 0, 0.5, 0.75, 1, 1]


def test_lengths_and_fractions_are_those_of_each_element():
    assert length(np.array([3.0, 0.0]), np.array([4.0, -2.0])).tolist() == [5, 2]
    assert fraction(np.array([1.25, -0.25, 2.0])).tolist() == [0.25, 0.75, 0]


def test_directions_are_of_length_one_and_go_all_ways():
    rng = np.random.default_rng(0)

    drawn = np.array([direction(rng) for _ in range(400)])

    assert np.hypot(*drawn.T) == pytest.approx(np.ones(400))
    quadrants = {(cos > 0, sin > 0) for cos, sin in drawn.tolist()}
    assert len(quadrants) == 4


def test_numbers_stay_within_their_bounds_and_reach_all_of_them():
    rng = np.random.default_rng(0)

    whole = [below(rng, 3) for _ in range(100)]
    numbers = [between(rng, -1.0, 2.0) for _ in range(400)]

    assert set(whole) == {0, 1, 2}
    assert all(-1 <= number < 2 for number in numbers)
    assert (min(numbers), max(numbers)) == pytest.approx((-1, 2), abs=0.05)
