"""The confidence interval: right where theory tells it, the same in any order."""

import numpy as np
import pytest

from pipeline.scores.bootstrap import NUM_GROUPS, GroupSums
from refinenet_core.metrics.scores import ClassCounts, mean_iou


def pixel_counts(hits, targets, predicted):
    """Counts of one class for each of some images, shape (N, 1)."""
    return ClassCounts(
        *(np.array(column, dtype=np.int64)[:, None] for column in (hits, targets, predicted))
    )


def coins(seed, images):
    """Images of 100 pixels whose one class is found with a probability that varies by image."""
    rng = np.random.default_rng(seed)
    hits = rng.binomial(100, rng.beta(5, 5, images))
    counts = pixel_counts(hits, np.full(images, 100), hits)
    return counts, rng.integers(0, NUM_GROUPS, images)


def sums_of(counts, groups):
    sums = GroupSums(1)
    sums.add(groups, counts, mean_iou(counts, "union_present"))
    return sums


@pytest.mark.parametrize("rule", ["union_present", "gt_present", "absent_one", "image_mean"])
def test_the_interval_is_as_wide_as_the_standard_error_says(rule):
    """Of images of equal size the mIoU is a plain mean, whose error has a formula."""
    counts, groups = coins(0, 2000)

    found = sums_of(counts, groups).interval(rule, resamples=2000, seed=0)

    shares = counts.hits[:, 0] / 100
    error = shares.std(ddof=1) / np.sqrt(2000)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert (found.high + found.low) / 2 == pytest.approx(shares.mean(), abs=0.2 * error)


def test_nineteen_in_twenty_intervals_hold_the_truth():
    held = 0
    for seed in range(100):
        found = sums_of(*coins(seed, 300)).interval("union_present", resamples=200, seed=seed)
        held += found.low <= 0.5 <= found.high

    assert 88 <= held <= 99


def test_the_interval_is_that_of_drawing_images_by_hand():
    """Each image in a group of its own; the resamples by the textbook, one at a time."""
    rng = np.random.default_rng(1)
    targets, predicted = rng.integers(50, 150, (2, 120, 3))
    counts = ClassCounts(np.minimum(targets, predicted) // 2, targets, predicted)
    sums = GroupSums(3)
    sums.add(np.arange(120), counts, mean_iou(counts, "union_present"))

    found = sums.interval("union_present", resamples=4000, seed=0)

    drawn = rng.integers(0, 120, (4000, 120))
    by_hand = [
        mean_iou(
            ClassCounts(counts.hits[i].sum(0), targets[i].sum(0), predicted[i].sum(0)),
            "union_present",
        )
        for i in drawn
    ]
    low, high = np.quantile(by_hand, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.05 * (high - low))
    assert found.high == pytest.approx(high, abs=0.05 * (high - low))


def test_the_order_of_images_and_the_number_of_workers_change_no_bit():
    counts, groups = coins(0, 100)
    whole = sums_of(counts, groups)
    order = np.random.default_rng(0).permutation(100)
    merged = GroupSums(1)
    for share in (order[:30], order[30:]):
        columns = (counts.hits, counts.target_pixels, counts.predicted_pixels)
        merged += sums_of(ClassCounts(*(column[share] for column in columns)), groups[share])

    for rule in ("union_present", "image_mean"):
        expected = whole.interval(rule, resamples=300, seed=0)
        assert merged.interval(rule, resamples=300, seed=0) == expected
    assert whole.interval("union_present", resamples=300, seed=1) != expected


def test_there_is_no_interval_of_one_image_or_of_an_undefined_score():
    one = sums_of(pixel_counts([3], [4], [4]), np.array([5]))
    two = sums_of(pixel_counts([3, 4], [4, 4], [4, 5]), np.array([5, 6]))
    nothing = GroupSums(2)

    assert one.interval("union_present", resamples=100, seed=0) is None
    assert nothing.interval("union_present", resamples=100, seed=0) is None
    found = two.interval("union_present", resamples=100, seed=0)
    assert 3 / 5 == found.low < found.high == 4 / 5
    assert 70 < found.resamples < 100  # in some, neither is drawn


def test_a_rule_that_leaves_the_miou_undefined_has_no_interval():
    counts, groups = coins(0, 50)
    sums = GroupSums(2)
    wide = ClassCounts(
        *(
            np.pad(column, ((0, 0), (0, 1)))
            for column in (counts.hits, counts.target_pixels, counts.predicted_pixels)
        )
    )
    sums.add(groups, wide, mean_iou(wide, "union_present"))

    assert sums.interval("voc_strict", resamples=100, seed=0) is None
    assert sums.interval("absent_one", resamples=100, seed=0).low > 0.5
