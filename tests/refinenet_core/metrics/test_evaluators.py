"""Agreement with evaluators that others wrote: scikit-learn's and torchmetrics'."""

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as torchmetrics
from hypothesis import given, settings
from hypothesis import strategies as st

from label_maps import ADVERSARIAL, VOID, random_pair
from refinenet_core import confusion_matrix, scores

pytestmark = pytest.mark.filterwarnings(  # scikit-learn, though all labels are passed
    "ignore:A single label was found"
)
pairs = pytest.mark.parametrize(
    ("prediction", "target", "num_classes"), ADVERSARIAL.values(), ids=ADVERSARIAL
)
random_pairs = given(
    num_classes=st.integers(2, 40),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    seed=st.integers(0, 2**32 - 1),
)


def assert_agrees_with_scikit_learn(prediction, target, num_classes):
    counts = confusion_matrix(prediction, target, num_classes=num_classes)
    result = scores(counts)
    kept = target != VOID
    if not kept.any():
        assert counts.sum() == 0
        assert np.isnan(result.miou)
        return
    truth, guess, labels = target[kept], prediction[kept], list(range(num_classes))
    expected = sklearn.metrics.confusion_matrix(truth, guess, labels=labels)
    np.testing.assert_array_equal(counts[:, :num_classes], expected)
    assert counts[:, num_classes].sum() == 0
    options = {"labels": labels, "average": None, "zero_division": np.nan}
    jaccard = sklearn.metrics.jaccard_score(truth, guess, **options | {"zero_division": 0})
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        truth, guess, **options
    )
    np.testing.assert_allclose(np.nan_to_num(result.iou), jaccard)
    np.testing.assert_allclose(result.precision, precision)
    np.testing.assert_allclose(result.class_accuracy, recall)
    np.testing.assert_allclose(result.f1, f1)
    assert result.rules["absent_zero"].miou == pytest.approx(jaccard.mean())
    assert result.pixel_accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, guess))
    weighted = sklearn.metrics.jaccard_score(
        truth, guess, labels=labels, average="weighted", zero_division=0
    )
    assert result.frequency_weighted_iou == pytest.approx(weighted)


def assert_agrees_with_torchmetrics(prediction, target, num_classes):
    if num_classes < 2:
        return  # torchmetrics takes two classes at least
    expected = torchmetrics.multiclass_jaccard_index(
        torch.from_numpy(prediction.astype(np.int64)),
        torch.from_numpy(target.astype(np.int64)),
        num_classes=num_classes,
        average="macro",
        ignore_index=VOID,
    )
    ours = scores(confusion_matrix(prediction, target, num_classes=num_classes))
    # torchmetrics counts in float32.
    assert ours.miou == pytest.approx(float(expected), abs=1e-6, nan_ok=True)


@pairs
def test_odd_label_maps_score_as_scikit_learn_scores_them(prediction, target, num_classes):
    assert_agrees_with_scikit_learn(prediction, target, num_classes)


@pairs
def test_odd_label_maps_score_as_torchmetrics_scores_them(prediction, target, num_classes):
    assert_agrees_with_torchmetrics(prediction, target, num_classes)


@settings(max_examples=60, deadline=None)
@random_pairs
def test_any_label_maps_score_as_scikit_learn_and_torchmetrics_score_them(num_classes, size, seed):
    prediction, target = random_pair(seed, num_classes, size)

    assert_agrees_with_scikit_learn(prediction, target, num_classes)
    assert_agrees_with_torchmetrics(prediction, target, num_classes)
