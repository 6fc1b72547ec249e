"""A prediction on its way from the device: placed in the image's frame, and told of if bad."""

import numpy as np
import pytest
import torch

from refinenet_core.prediction.averaging import Fused
from refinenet_core.prediction.prediction import OUTSIDE_REGION, AveragedImage, StartedPrediction
from refinenet_core.prediction.protocols import Box


def started(region, size, *, confidence=True, total=1.0):
    """Return a prediction of class 3 with the confidence 0.5 in its region."""
    height, width = region.size
    fused = Fused(
        torch.full((height, width), 3, dtype=torch.uint8),
        torch.full((height, width), 0.5) if confidence else None,
        torch.tensor(0.5, dtype=torch.float64),
    )
    averaged = AveragedImage(fused, None, torch.tensor(total))
    return StartedPrediction(averaged, None, size, region)


def test_labels_lie_in_their_region_of_the_image_and_nowhere_else():
    prediction = started(Box(1, 2, 3, 4), (4, 5)).finished()

    labels = np.full((4, 5), OUTSIDE_REGION, np.uint8)
    labels[1:3, 2:4] = 3
    np.testing.assert_array_equal(prediction.labels, labels)
    np.testing.assert_array_equal(prediction.confidence, np.where(labels == 3, 0.5, 0))
    assert prediction.labels.dtype == np.uint8
    assert prediction.confidence.dtype == np.float32
    assert prediction.mean_confidence == 0.5


def test_a_region_that_is_the_whole_image_has_nothing_outside():
    prediction = started(Box(0, 0, 2, 3), (2, 3), confidence=False).finished()

    assert prediction.labels.tolist() == [[3, 3, 3], [3, 3, 3]]
    assert prediction.confidence is None


@pytest.mark.parametrize(("total", "finite"), [(7.5, True), (np.nan, False), (np.inf, False)])
def test_probabilities_that_do_not_sum_up_are_told_of(total, finite):
    assert started(Box(0, 0, 1, 1), (1, 1), total=total).finished().finite is finite
