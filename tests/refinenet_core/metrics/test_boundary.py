"""Boundary IoU against its definition, class by class, with another library's erosion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from refinenet_core import boundary_counts
from refinenet_core.metrics.boundary import boundary_region, boundary_width


def region_by_erosion(mask, width):
    """What a mask loses when it is eroded `width` times by 3x3, the outside being empty."""
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)
    return mask & ~eroded


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_region_of_all_classes_at_once_is_that_of_each_by_erosion(size, width, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (size[0] // 8 + 1, size[1] // 8 + 1), dtype=np.uint8)
    labels = labels.repeat(8, axis=0).repeat(8, axis=1)[: size[0], : size[1]]

    region = boundary_region(labels, width)

    for class_id in range(3):
        mask = labels == class_id
        np.testing.assert_array_equal(region & mask, region_by_erosion(mask, width))


def test_counts_by_hand():
    """A square moved by one pixel; 2 % of the diagonal of 20x20 rounds to 1."""
    target, prediction = np.zeros((2, 20, 20), dtype=np.uint8)
    target[5:9, 5:9] = 1
    prediction[5:9, 6:10] = 1

    counts = boundary_counts(prediction, target, num_classes=2)

    assert boundary_width(20, 20) == 1
    # Rings of 12 pixels: rows 5 and 8 share three columns each, rows 6 and 7 none on both rings.
    assert counts.target_pixels[1] == counts.predicted_pixels[1] == 12
    assert counts.hits[1] == 6
    assert counts.iou[1] == pytest.approx(6 / 18)


def test_a_perfect_prediction_scores_one_whatever_is_unlabelled():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 4, (10, 12), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    target = prediction.copy()
    target[20:50, 30:60] = 255

    counts = boundary_counts(prediction, target, num_classes=5)

    np.testing.assert_array_equal(counts.iou[:4], 1.0)
    assert np.isnan(counts.iou[4])


def test_the_width_is_two_percent_of_the_diagonal():
    assert boundary_width(360, 480) == 12
    assert boundary_width(1024, 2048) == 46
    assert boundary_width(1, 1) == 1


def test_a_contour_that_is_off_costs_more_at_the_boundary_than_in_the_area():
    target = np.zeros((200, 200), dtype=np.uint8)
    target[40:160, 40:160] = 1
    prediction = np.roll(target, 4, axis=1)

    counts = boundary_counts(prediction, target, num_classes=2)

    area = (target & prediction).sum() / (target | prediction).sum()
    assert counts.iou[1] < area - 0.1


@pytest.mark.parametrize(
    ("prediction", "target", "num_classes", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2, r"\(2, 3\)"),
        (np.zeros((2, 3), int), np.zeros((2, 3), np.uint8), 2, "int64"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8), 256, "256 classes"),
    ],
)
def test_wrong_arguments_are_refused(prediction, target, num_classes, message):
    with pytest.raises(ValueError, match=message):
        boundary_counts(prediction, target, num_classes=num_classes)
