"""Amounts known from a sample: worked by hand, and against SciPy and simulated draws."""

import math

import numpy as np
import pytest
import scipy.stats

from pipeline.estimate.uncertain_amount import Amount, ratio, student, total


def test_a_mean_and_its_margin_are_those_worked_by_hand():
    # 2, 4 and 6: mean 4, variance 4, standard error sqrt(4 / 3), Student's t 4.3027.
    found = ratio([(2, 1), (4, 1), (6, 1)])

    assert found.value == 4
    assert found.margin == pytest.approx(4.3027 * math.sqrt(4 / 3))


def test_what_was_not_drawn_leaves_less_to_be_uncertain_of():
    # 3 of 6 drawn: the squared error is half as large.
    few = ratio([(2, 1), (4, 1), (6, 1)], of=6)
    all_of_them = ratio([(2, 1), (4, 1), (6, 1)], of=3)

    assert few.margin == pytest.approx(4.3027 * math.sqrt(4 / 3 / 2))
    assert all_of_them == Amount(4)


def test_a_ratio_weighs_draws_by_their_size():
    # 30 over 10 images: 3 each. Residuals 4 - 2 * 3 and 26 - 8 * 3: variance 8, mean size 5.
    found = ratio([(4, 2), (26, 8)])

    assert found.value == 3
    assert found.margin == pytest.approx(12.7062 * math.sqrt(8 / 2) / 5)


def test_one_draw_of_many_leaves_the_margin_unknown():
    found = ratio([(6, 2)], of=9)

    assert found == Amount(3, None)
    assert found.times(Amount(2, 1)).margin is None
    assert total([found, Amount(1)]) == Amount(4, None)
    assert found.inverse() == Amount(1 / 3, None)
    assert found.scaled(2) == Amount(6, None)


def test_margins_of_products_and_sums_add_as_squares():
    assert Amount(10, 3).times(Amount(2, 0.8)) == Amount(20, 10)  # 3 * 2 = 6 and 0.8 * 10 = 8
    assert total([Amount(1, 3), Amount(2, 4)]) == Amount(3, 5)
    assert Amount(4, 0.8).inverse() == Amount(0.25, pytest.approx(0.05))  # 20 % either way
    assert Amount(4, 1).scaled(-2) == Amount(-8, 2)


@pytest.mark.parametrize("freedom", [1, 2, 7, 15, 16, 30, 255])
def test_students_quantile_is_scipys(freedom):
    assert student(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), abs=1e-3)


def test_the_interval_holds_the_truth_in_about_95_of_100_samples():
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(0, 0.5, 2000)
    held = 0
    for _ in range(400):
        drawn = rng.choice(sizes, 64, replace=False)
        found = ratio([(size, 1.0) for size in drawn.tolist()], of=2000)
        held += abs(found.value - sizes.mean()) <= found.margin

    assert 0.91 <= held / 400 <= 0.98
