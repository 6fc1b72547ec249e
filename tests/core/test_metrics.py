"""Counting and scoring, by hand-worked examples and against an independent implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

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
    with pytest.raises(ValueError, match=r"\[7, 9\].*0 to 2.*ignore_index 255"):
        confusion_matrix(np.zeros((1, 3)), np.array([[7, 0, 9]]), num_classes=3)


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


def test_the_six_rules_give_six_figures_for_the_same_masks():
    """Class 2 is predicted but never true; class 3 is neither; the images differ."""
    first = np.array([[6, 0, 2, 0, 0], [0, 2, 0, 0, 0], [0] * 5, [0] * 5])
    second = np.array([[9, 1, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5])
    total = first + second

    figures = {
        rule: scores(total, rule).miou
        for rule in ("union_present", "gt_present", "voc_strict", "absent_one", "absent_zero")
    }
    figures["image_mean"] = scores(np.stack([first, second]), "image_mean").miou

    iou = [15 / 18, 2 / 3, 0.0]
    assert figures.pop("voc_strict") != figures  # NaN: class 3 is nowhere
    assert figures["union_present"] == pytest.approx(sum(iou) / 3)
    assert figures["gt_present"] == pytest.approx(sum(iou) / 2)
    assert figures["absent_one"] == pytest.approx((sum(iou) + 1) / 4)
    assert figures["absent_zero"] == pytest.approx(sum(iou) / 4)
    image_means = [(6 / 8 + 1 + 0) / 3, (9 / 10 + 0) / 2]
    assert figures["image_mean"] == pytest.approx(sum(image_means) / 2)
    assert len(set(figures.values())) == 5
    assert np.isnan(scores(total, "voc_strict").miou)


def test_counts_beyond_32_bits_stay_exact():
    counts = np.array([[2**33 + 1, 1], [0, 2**40]], dtype=np.int64)

    result = scores(counts)

    assert result.iou[0] == (2**33 + 1) / (2**33 + 2)
    assert result.pixel_accuracy == (2**33 + 1 + 2**40) / (2**33 + 2 + 2**40)


@settings(max_examples=60, deadline=None)
@given(
    num_classes=st.integers(2, 12),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_counts_and_iou_agree_with_scikit_learn(num_classes, size, seed):
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, num_classes, size)
    target = rng.integers(0, num_classes, size)
    target[rng.random(size) < 0.2] = 255

    counts = confusion_matrix(prediction, target, num_classes=num_classes)

    kept = target != 255
    assert counts.sum() == kept.sum()
    if kept.any():
        labels = list(range(num_classes))
        expected = sklearn_metrics.confusion_matrix(target[kept], prediction[kept], labels=labels)
        np.testing.assert_array_equal(counts[:, :num_classes], expected)
        jaccard = sklearn_metrics.jaccard_score(
            target[kept], prediction[kept], labels=labels, average=None, zero_division=0
        )
        np.testing.assert_allclose(np.nan_to_num(scores(counts).iou), jaccard)


@pytest.mark.parametrize(
    ("counts", "rule", "message"),
    [
        (np.eye(2), "union_present", "float64"),
        (np.eye(2, dtype=int), "best", "best"),
        (np.eye(2, dtype=int), "image_mean", "3-D"),
        (np.zeros((2, 5), int), "union_present", r"\(2, 5\)"),
    ],
)
def test_wrong_arguments_are_refused(counts, rule, message):
    with pytest.raises(ValueError, match=message):
        scores(counts, rule)
