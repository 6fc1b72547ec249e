"""Confusion matrices: which pixels are counted where, whatever the labels' type and order."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from label_maps import VOID, random_pair
from refinenet_core import ConfusionMatrix, confusion_matrix, scores


def test_ignored_pixels_change_no_score():
    target = np.array([[0, 1], [1, 255]], dtype=np.uint8)
    prediction = np.array([[0, 1], [0, 1]], dtype=np.uint8)

    counts = confusion_matrix(prediction, target, num_classes=3)

    np.testing.assert_array_equal(counts, [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(scores(counts).iou, [0.5, 0.5, np.nan])


def test_a_prediction_of_the_void_class_is_a_miss_not_ignored():
    """CamVid's void is 11: masking the prediction, not the target, would hide such misses."""
    target = np.array([[0, 0, 11]], dtype=np.uint8)
    prediction = np.array([[0, 11, 11]], dtype=np.uint8)

    counts = confusion_matrix(prediction, target, num_classes=11, ignore_index=11)

    assert counts[0, 0] == 1
    assert counts[0, 11] == 1
    assert counts.sum() == 2
    assert scores(counts).pixel_accuracy == 0.5


def test_a_target_outside_the_classes_is_an_error_that_names_the_values():
    for dtype in (np.uint8, np.int64):
        prediction, target = np.zeros((1, 3), dtype), np.array([[7, 0, 9]], dtype)
        with pytest.raises(ValueError, match=r"\[7, 9\].*0 to 2.*ignore_index 255"):
            confusion_matrix(prediction, target, num_classes=3)


def test_merging_in_any_order_gives_the_same_counts():
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 4, (5, 5)), rng.integers(0, 3, (5, 5))) for _ in range(6)]
    whole, left, right = (ConfusionMatrix(3) for _ in range(3))

    for prediction, target in pairs:
        whole.update(prediction, target)
    for prediction, target in pairs[:2]:
        left.update(prediction, target)
    for prediction, target in reversed(pairs[2:]):
        right.update(prediction, target)
    right += left

    np.testing.assert_array_equal(whole.counts, right.counts)
    assert whole.counts.dtype == np.int64
    with pytest.raises(ValueError, match="cannot be merged"):
        whole += ConfusionMatrix(4)


def test_an_image_of_several_blocks_is_counted_whole():
    """Bytes are counted in blocks of 2^18 pixels."""
    target = np.zeros((700, 800), np.uint8)
    target[350:] = 1
    prediction = np.full((700, 800), 1, np.uint8)

    counts = confusion_matrix(prediction, target, num_classes=2)

    np.testing.assert_array_equal(counts, [[0, 280_000, 0], [0, 280_000, 0]])


@settings(max_examples=60, deadline=None)
@given(
    num_classes=st.integers(2, 40),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    seed=st.integers(0, 2**32 - 1),
)
def test_bytes_and_wider_integers_are_counted_alike(num_classes, size, seed):
    """Bytes, which all label maps of a run are, take a faster way."""
    rng = np.random.default_rng(seed)
    prediction, target = random_pair(seed, num_classes, size)
    prediction[rng.random(size) < 0.3] = rng.integers(0, 256)

    counts = confusion_matrix(prediction, target, num_classes=num_classes)

    wide = confusion_matrix(
        prediction.astype(np.int32), target.astype(np.int64), num_classes=num_classes
    )
    np.testing.assert_array_equal(counts, wide)


def test_predictions_outside_the_classes_are_misses_of_the_target_and_of_nothing_else():
    """scikit-learn knows no such predictions: a class of their own, left out, does the same."""
    prediction, target = random_pair(1, 4, (9, 9))
    prediction[::2] = 77

    counts = confusion_matrix(prediction, target, num_classes=4)

    kept, labels = target != VOID, [0, 1, 2, 3, 77]
    expected = sklearn.metrics.confusion_matrix(target[kept], prediction[kept], labels=labels)
    np.testing.assert_array_equal(counts, expected[:4])
    jaccard = sklearn.metrics.jaccard_score(
        target[kept], prediction[kept], labels=labels[:4], average=None
    )
    np.testing.assert_allclose(scores(counts).iou, jaccard)
