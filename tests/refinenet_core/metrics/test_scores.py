"""Scoring, by hand-worked examples; `test_evaluators` asks other evaluators."""

import re
from pathlib import Path

import numpy as np
import pytest

from refinenet_core import scores
from refinenet_core.metrics.scores import RULES

DOC = Path(__file__).resolve().parents[3] / "docs/scores.md"


def doc_example():
    """Return the counts of the documented example's images, and its figures by rule."""
    text = DOC.read_text()
    [block] = re.findall(r"```text\n((?:[0-9 ]+\n)+)```", text)
    rows = np.array([line.split() for line in block.splitlines()], dtype=np.int64)
    figures = dict(re.findall(r"^\| `(\w+)` \| ([0-9.]+|undefined) \|", text, flags=re.MULTILINE))
    return np.stack(np.hsplit(rows, 2)), figures


def test_the_documented_example_has_six_figures_one_for_each_rule():
    images, figures = doc_example()

    found = {rule: scores(images, rule).miou for rule in RULES}

    assert images.shape == (2, 4, 5)
    assert set(figures) == set(RULES)
    assert len(set(figures.values())) == 6
    for rule, figure in figures.items():
        assert figure == ("undefined" if np.isnan(found[rule]) else f"{found[rule]:.5f}"), rule


@pytest.mark.parametrize(
    ("rule", "miou", "num_averaged", "absent"),
    [
        # Of two images: class 0 has 3 of 4 + 2 of 2, class 1 has 0 of 1, class 2 is nowhere.
        ("union_present", (5 / 6 + 0) / 2, 2, (2,)),
        ("gt_present", 5 / 6, 1, (1, 2)),
        ("voc_strict", np.nan, 3, (2,)),
        ("absent_one", (5 / 6 + 0 + 1) / 3, 3, (2,)),
        ("absent_zero", (5 / 6 + 0 + 0) / 3, 3, (2,)),
        ("image_mean", ((3 / 4 + 0) / 2 + 1) / 2, 2, (2,)),
    ],
)
def test_each_rule_by_hand(rule, miou, num_averaged, absent):
    zero = [0, 0, 0, 0]
    images = np.array([[[3, 1, 0, 0], zero, zero], [[2, 0, 0, 0], zero, zero]])

    result = scores(images, rule)

    assert result.miou == pytest.approx(miou, nan_ok=True)
    assert result.rules[rule].num_averaged == num_averaged
    assert result.rules[rule].absent == absent
    assert set(result.rules) == set(RULES)


def test_with_all_classes_present_only_the_mean_over_images_differs():
    images = np.array([[[3, 1, 0], [0, 2, 0]], [[1, 0, 0], [1, 2, 0]]])

    found = scores(images).rules

    over_classes = {found[rule].miou for rule in RULES if rule != "image_mean"}
    assert over_classes == {(4 / 6 + 4 / 6) / 2}
    assert found["image_mean"].miou == pytest.approx(
        ((3 / 4 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    )


def test_the_images_own_scores_may_be_given_beside_their_sum():
    images, _ = doc_example()
    own = [scores(image).miou for image in images]

    given = scores(images.sum(axis=0), "image_mean", image_mious=np.array([*own, np.nan]))

    assert given.miou == scores(images, "image_mean").miou
    assert given.rules["image_mean"].num_averaged == 2


def test_scores_per_class_by_hand():
    counts = np.array([[6, 2, 0], [1, 3, 4], [0, 0, 0]]).T[:2]  # (2, 3)

    result = scores(counts)

    np.testing.assert_array_equal(result.classes.target_pixels, [7, 5])
    np.testing.assert_array_equal(result.classes.predicted_pixels, [8, 4])
    np.testing.assert_allclose(result.iou, [6 / 9, 3 / 6])
    np.testing.assert_allclose(result.class_accuracy, [6 / 7, 3 / 5])
    np.testing.assert_allclose(result.precision, [6 / 8, 3 / 4])
    np.testing.assert_allclose(result.f1, [12 / 15, 6 / 9])
    assert result.pixel_accuracy == 9 / 12
    assert result.mean_accuracy == pytest.approx((6 / 7 + 3 / 5) / 2)
    assert result.frequency_weighted_iou == pytest.approx((7 * 6 / 9 + 5 * 3 / 6) / 12)


def test_means_are_summed_in_the_order_of_classes():
    """A plain loop, or SQL, gets the same bits; `np.mean` takes eight at a time."""
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 1000, (40, 41))

    result = scores(counts)

    total = 0.0
    for iou in result.iou.tolist():
        total += iou
    assert result.miou == total / 40


def test_counts_beyond_32_bits_stay_exact():
    counts = np.array([[2**33 + 1, 1], [0, 2**40]], dtype=np.int64)

    result = scores(counts)

    assert result.iou[0] == (2**33 + 1) / (2**33 + 2)
    assert result.pixel_accuracy == (2**33 + 1 + 2**40) / (2**33 + 2 + 2**40)


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
